"""The metrics of a run for TensorBoard: one folder a split, each step once, at the time of its line."""

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

_RUN_FOLDER = "."  # The folder of texts and hyperparameters, which have no split.
_EVENT_FILES = ("events.out.tfevents.*", "*/events.out.tfevents.*")
_NO_SCALARS = ("step", "wall_time")
_FLUSH_SECONDS = 30.0


class EventFiles:
    """Event files with the numbers and times of `metrics.jsonl`, and the config as text and as hyperparameters.

    A restarted run writes them anew from the lines of `metrics.jsonl`, because event files cannot be cut at a step. So
    they are not essential: if they cannot be written, a warning says so once and the run goes on.

    Lines that are older than the field `wall_time` become events without a time, which TensorBoard takes for 1970.

    Args:
        folder: Folder of all splits, for `tensorboard --logdir`.
        records: The records of `metrics.jsonl` so far.
        config: Config of the run in JSON types.
    """

    def __init__(self, folder: pathlib.Path, records: Sequence[dict[str, Any]], config: Mapping[str, Any]):
        self.folder = folder
        self._failed = False
        self._writers: dict[str, EventWriter] = {}
        self._flushed = time.monotonic()
        with self._saying_what_fails():
            for old in (path for pattern in _EVENT_FILES for path in folder.glob(pattern)):
                if not old.name.endswith(".profile-empty"):  # A profile leaves it for its plugin.
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
        """Flushes all files."""
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
    """Returns the time of the first line, if it has one; now for a run without lines."""
    return records[0].get("wall_time") if records else time.time()
