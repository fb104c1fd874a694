"""The metrics of a run as TensorBoard shows them: one folder a split, each step once."""

import contextlib
import pathlib
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from absl import logging


class EventFiles:
    """Event files beside `metrics.jsonl`, with the same numbers.

    A restarted run writes them anew from the lines that `metrics.jsonl` kept: event files cannot be cut at a step. So
    they may fall behind: if they cannot be written, that is said once and the run goes on without them.

    Args:
        folder: Folder of all splits, for `tensorboard --logdir`.
        records: What `metrics.jsonl` holds already.
    """

    def __init__(self, folder: pathlib.Path, records: list[dict[str, Any]]):
        self.folder = folder
        self._failed = False
        self._writers: dict[str, tf.summary.SummaryWriter] = {}
        for old in folder.glob("*/events.out.tfevents.*"):
            old.unlink()
        for record in records:
            self.write(record)

    def write(self, record: dict[str, Any]) -> None:
        """Adds a record of `metrics.jsonl`."""
        split, step = record["split"], record["step"]
        with self._saying_what_fails():
            if split not in self._writers:
                self._writers[split] = tf.summary.create_file_writer(str(self.folder / split))
            with self._writers[split].as_default(step=step):
                for name, value in record.items():
                    if isinstance(value, int | float) and name != "step":
                        tf.summary.scalar(name, value)

    def flush(self) -> None:
        """Hands what was written to the operating system."""
        with self._saying_what_fails():
            for writer in self._writers.values():
                writer.flush()

    def close(self) -> None:
        """Closes the files."""
        with self._saying_what_fails():
            for writer in self._writers.values():
                writer.close()

    @contextlib.contextmanager
    def _saying_what_fails(self) -> Iterator[None]:
        try:
            yield
        except (tf.errors.OpError, OSError) as error:
            if not self._failed:
                logging.warning("The event files could not be written, TensorBoard will lack steps: %s", error)
            self._failed = True
