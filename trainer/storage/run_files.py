"""The interface of a process to the files of its run: metrics, events and checkpoints; and the one that has none."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


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
        """Saves this step if its evaluation is the best so far, by `config.train.best_metric`."""

    def prune(self, step: int) -> None:
        """Removes all checkpoints except the newest and the best."""

    def close(self, step: int) -> None:
        """Waits for the checkpoint that is being written and closes the files."""


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
