"""Checkpoints written by a thread of their own while the training goes on."""

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from trainer.checkpoints import Checkpoints
from trainer.finite import NotFiniteArraysError


class CheckpointWriter:
    """Writes one checkpoint at a time beside the training.

    The thread is no daemon: a process that ends in the ordinary way finishes the file that is under way. One that is
    killed leaves the earlier checkpoints as they were, and at most a half-written file that is none.

    Args:
        checkpoints: The folder to write to.
        step: The step whose state is in there already, if the run goes on from one.

    Attributes:
        step: The step whose checkpoint is written or under way; None if there is none, or none since a failure.
    """

    def __init__(self, checkpoints: Checkpoints, step: int | None = None):
        self.step = step
        self._checkpoints = checkpoints
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def begin(
        self, arrays: Mapping[str, np.ndarray], description: Mapping[str, Any], losses: Mapping[int, float]
    ) -> None:
        """Begins to write a checkpoint. Nothing else may be under way: call `wait` or see that `busy` is False before.

        Args:
            arrays: Everything to keep, by name. Nobody may change them any more.
            description: What else belongs to the state, with `step`.
            losses: Validation loss by step, for the best checkpoint to be kept.
        """
        if self._thread is not None:
            raise RuntimeError(f"A checkpoint must be waited for before the next. Received: that of {self.step}")

        def write() -> None:
            try:
                self._checkpoints.save(description["step"], arrays, description, losses)
            except BaseException as error:
                self._error = error

        self.step = description["step"]
        self._thread = threading.Thread(target=write, name="checkpoint-writer")
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether a checkpoint is being written at this moment."""
        return self._thread is not None and self._thread.is_alive()

    def wait(self) -> OSError | NotFiniteArraysError | None:
        """Waits for the checkpoint under way, if there is one.

        Returns:
            Why it was not written, for instance because the disk is full; None if it is there.

        Raises:
            BaseException: Whatever else went wrong in the thread.
        """
        if self._thread is None:
            return None
        self._thread.join()
        self._thread, error, self._error = None, self._error, None
        if error is not None:
            self.step = None
        if error is None or isinstance(error, OSError | NotFiniteArraysError):
            return error
        raise error
