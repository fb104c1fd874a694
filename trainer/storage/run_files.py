"""The files of a run: its config, metrics, events and checkpoints."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from ml_collections import ConfigDict

from trainer import config as configs
from trainer.storage import metrics
from trainer.storage.checkpoint_saving import Saving
from trainer.storage.event_files import EventFiles
from trainer.storage.workdir import Workdir

Capture = Callable[[], tuple[Mapping[str, np.ndarray], Mapping[str, Any]]]


class RunFiles(Protocol):
    """Interface of one process to the files of its run. A `step` is the number of steps done."""

    def find(self, split: str, step: int) -> dict[str, Any] | None:
        """Returns the metrics record of a split and step, if there is one."""

    def records(self) -> Sequence[dict[str, Any]]:
        """Returns the metrics records so far, in order."""

    def text(self, name: str, text: str) -> None:
        """Adds a text to the event files, at the step of the newest metrics line."""

    def record(self, split: str, step: int, numbers: Mapping[str, float | None]) -> None:
        """Writes numbers to the metrics and the event files.

        Raises:
            NotSaved: If the metrics cannot be written.
        """

    def save(self, step: int) -> None:
        """Makes the metrics durable and begins to write a checkpoint, if there is none of this step.

        The state is copied at once and written by a thread while the run goes on. The call waits for the previous
        checkpoint if that is still being written. A failure to write is reported here or by `look`.

        Raises:
            NotSaved: If the metrics cannot be made durable.
        """

    def look(self, step: int) -> bool:
        """Reports if a checkpoint could not be written. Call it between two steps.

        Returns:
            Whether a state was not finite, so that the run must end: `finish` raises the error.
        """

    def finish(self, step: int) -> None:
        """Waits until there is a checkpoint of this step.

        Raises:
            NotFinite: If its state or an earlier one is not finite.
            NotSaved: If it cannot be written.
        """

    def keep_best(self, step: int) -> None:
        """Saves this step if its validation loss is the smallest so far."""

    def prune(self, step: int) -> None:
        """Removes all checkpoints except the newest and the best."""

    def close(self, step: int) -> None:
        """Waits for the checkpoint that is being written and closes the files."""


class DiskRunFiles:
    """The files of a run in the process that writes them.

    Args:
        workdir: The folder of the run.
        config: Config of the run, which is written to the folder.
        step: Number of steps done in the state that the run goes on from.
        capture: Copies the current state to the host: arrays by name and the description, with `step`.
    """

    def __init__(self, workdir: Workdir, config: ConfigDict, step: int, capture: Capture):
        configs.write_config(config, workdir.config)
        self._metrics = metrics.Metrics(workdir.metrics, step)
        self._events = EventFiles(workdir.events, self._metrics.records, configs.as_dict(config))
        self._checkpoints = workdir.checkpoints(config.train.keep_checkpoints)
        self._capture = capture
        saved = step if self._checkpoints.steps() else None
        self._saving = Saving(self._checkpoints, config.train, self._durable, saved)

    def find(self, split: str, step: int) -> dict[str, Any] | None:
        return self._metrics.find(split, step)

    def records(self) -> Sequence[dict[str, Any]]:
        return self._metrics.records

    def text(self, name: str, text: str) -> None:
        if self._metrics.records:
            self._events.write_text(name, text, self._metrics.records[-1])

    def record(self, split: str, step: int, numbers: Mapping[str, float | None]) -> None:
        try:
            record = self._metrics.write(split, step, **numbers)
        except OSError as error:
            raise self._saving.failure(f"A metrics line of step {step}", error) from error
        self._events.write(record)

    def save(self, step: int) -> None:
        self._saving.begin(step)

    def look(self, step: int) -> bool:
        return self._saving.look(step)

    def finish(self, step: int) -> None:
        self._saving.finish(step)

    def keep_best(self, step: int) -> None:
        losses = metrics.validation_losses(self._metrics.records)
        if metrics.best_step(losses) != step:
            return
        if self._saving.is_saved(step):
            self.prune(step)
        else:
            self.save(step)

    def prune(self, step: int) -> None:
        self._saving.wait(step)
        self._checkpoints.prune(metrics.validation_losses(self._metrics.records))

    def close(self, step: int) -> None:
        self._saving.wait(step)
        self._metrics.close()
        self._events.close()

    def _durable(self) -> tuple[Mapping[str, np.ndarray], Mapping[str, Any], dict[int, float]]:
        """Makes the metrics durable and copies the state for a checkpoint."""
        self._metrics.sync()
        self._events.flush()
        return *self._capture(), metrics.validation_losses(self._metrics.records)


class NullRunFiles:
    """Null object for a process that is not the chief, and for a dry run: it writes nothing and finds nothing."""

    def find(self, split: str, step: int) -> dict[str, Any] | None:
        return None

    def records(self) -> Sequence[dict[str, Any]]:
        return ()

    def text(self, name: str, text: str) -> None:
        pass

    def record(self, split: str, step: int, numbers: Mapping[str, float | None]) -> None:
        pass

    def save(self, step: int) -> None:
        pass

    def look(self, step: int) -> bool:
        return False

    def finish(self, step: int) -> None:
        pass

    def keep_best(self, step: int) -> None:
        pass

    def prune(self, step: int) -> None:
        pass

    def close(self, step: int) -> None:
        pass
