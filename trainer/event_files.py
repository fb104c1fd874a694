"""The metrics of a run as TensorBoard shows them: one folder a split, each step once."""

import pathlib
from typing import Any

import tensorflow as tf


class EventFiles:
    """Event files beside `metrics.jsonl`, with the same numbers.

    A restarted run writes them anew from the lines that `metrics.jsonl` kept: event files cannot be cut at a step.

    Args:
        folder: Folder of all splits, for `tensorboard --logdir`.
        records: What `metrics.jsonl` holds already.
    """

    def __init__(self, folder: pathlib.Path, records: list[dict[str, Any]]):
        self.folder = folder
        self._writers: dict[str, tf.summary.SummaryWriter] = {}
        for old in folder.glob("*/events.out.tfevents.*"):
            old.unlink()
        for record in records:
            self.write(record)

    def write(self, record: dict[str, Any]) -> None:
        """Adds a record of `metrics.jsonl`."""
        split, step = record["split"], record["step"]
        if split not in self._writers:
            self._writers[split] = tf.summary.create_file_writer(str(self.folder / split))
        with self._writers[split].as_default(step=step):
            for name, value in record.items():
                if isinstance(value, int | float) and name != "step":
                    tf.summary.scalar(name, value)

    def flush(self) -> None:
        """Hands what was written to the operating system."""
        for writer in self._writers.values():
            writer.flush()

    def close(self) -> None:
        """Closes the files."""
        for writer in self._writers.values():
            writer.close()
