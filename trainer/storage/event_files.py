"""The metrics of a run as TensorBoard shows them: one folder a split, each step once, at the time of its line."""

import contextlib
import json
import pathlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf
from absl import logging

from trainer.storage import event_summaries
from trainer.storage.event_writer import EventWriter

_RUN_FOLDER = "."  # The folder of what belongs to no split.
_EVENT_FILES = ("events.out.tfevents.*", "*/events.out.tfevents.*")
_NO_SCALARS = ("step", "wall_time")
_FLUSH_SECONDS = 30.0


class EventFiles:
    """Event files beside `metrics.jsonl`, with the same numbers and times; the config as text and as hyperparameters.

    A restarted run writes them anew from the lines that `metrics.jsonl` kept: event files cannot be cut at a step. So
    they may fall behind: if they cannot be written, that is said once and the run goes on without them.

    Lines that are older than their field `wall_time` are events without a time, which TensorBoard takes for 1970.

    Args:
        folder: Folder of all splits, for `tensorboard --logdir`.
        records: What `metrics.jsonl` holds already.
        config: Config of the run as JSON knows it.
    """

    def __init__(self, folder: pathlib.Path, records: Sequence[dict[str, Any]], config: Mapping[str, Any]):
        self.folder = folder
        self._failed = False
        self._writers: dict[str, EventWriter] = {}
        self._flushed = time.monotonic()
        with self._saying_what_fails():
            for old in (path for pattern in _EVENT_FILES for path in folder.glob(pattern)):
                if not old.name.endswith(".profile-empty"):  # What a profile leaves for its plugin.
                    old.unlink()
            began = _began(records)
            name = str(folder.resolve().parent)
            for summary in (
                event_summaries.hyperparameters(config, name, began or 0.0),
                event_summaries.text("config", json.dumps(config, indent=2, sort_keys=True)),
            ):
                self._writer(_RUN_FOLDER, began).write(summary, 0, began)
        for record in records:
            self.write(record)
        self.flush()

    def write(self, record: Mapping[str, Any]) -> None:
        """Adds a record of `metrics.jsonl`."""
        numbers = {name: value for name, value in record.items() if isinstance(value, int | float)}
        shown = {name: value for name, value in numbers.items() if name not in _NO_SCALARS}
        when = numbers.get("wall_time")
        with self._saying_what_fails():
            self._writer(record["split"], when).write(event_summaries.scalars(shown), record["step"], when)
        if time.monotonic() - self._flushed >= _FLUSH_SECONDS:
            self.flush()

    def write_text(self, name: str, text: str, record: Mapping[str, Any]) -> None:
        """Adds a text, with step and time of a record of `metrics.jsonl`."""
        when = record.get("wall_time")
        with self._saying_what_fails():
            self._writer(_RUN_FOLDER, when).write(event_summaries.text(name, text), record["step"], when)

    def flush(self) -> None:
        """Hands what was written to the operating system."""
        self._flushed = time.monotonic()
        with self._saying_what_fails():
            for writer in self._writers.values():
                writer.flush()

    def close(self) -> None:
        """Closes the files."""
        with self._saying_what_fails():
            for writer in self._writers.values():
                writer.close()

    def _writer(self, split: str, began: float | None) -> EventWriter:
        if split not in self._writers:
            self._writers[split] = EventWriter(self.folder / split, began)
        return self._writers[split]

    @contextlib.contextmanager
    def _saying_what_fails(self) -> Iterator[None]:
        try:
            yield
        except (tf.errors.OpError, OSError) as error:
            if not self._failed:
                logging.warning("The event files could not be written, TensorBoard will lack steps: %s", error)
            self._failed = True


def _began(records: Sequence[Mapping[str, Any]]) -> float | None:
    """When the run began, if its first line says it; a run without lines begins now."""
    return records[0].get("wall_time") if records else time.time()
