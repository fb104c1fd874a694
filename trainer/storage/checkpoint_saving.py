"""Saves the state of a run while it trains: waits for the disk where it must, and reports what cannot be written."""

import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from trainer import exits
from trainer.storage.checkpoints import Checkpoints
from trainer.storage.finite_check import NotFiniteArraysError

_State = tuple[Mapping[str, np.ndarray], Mapping[str, Any], Mapping[int, float]]


class CheckpointWriter:
    """Writes one checkpoint at a time, in a thread beside the training.

    The thread is no daemon, so a process that ends normally finishes the file. A process that is killed leaves the
    earlier checkpoints unchanged, and at most a temporary file that does not count.

    Args:
        checkpoints: The folder to write to.
        step: The step whose checkpoint the run goes on from, if any.

    Attributes:
        step: The step whose checkpoint is written or being written; None if there is none, or after a failure.
    """

    def __init__(self, checkpoints: Checkpoints, step: int | None = None):
        self.step = step
        self._checkpoints = checkpoints
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def begin(
        self, arrays: Mapping[str, np.ndarray], description: Mapping[str, Any], losses: Mapping[int, float]
    ) -> None:
        """Begins to write a checkpoint. Call `wait` before, as only one can be written at a time.

        Args:
            arrays: Arrays of the state by name. They must not change any more.
            description: The rest of the state, with `step`.
            losses: Validation loss by step, to retain the best checkpoint.
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
        """Whether a checkpoint is being written."""
        return self._thread is not None and self._thread.is_alive()

    def wait(self) -> OSError | NotFiniteArraysError | None:
        """Waits for the checkpoint that is being written, if any.

        Returns:
            Why it could not be written, for instance because the disk is full; None if it was.

        Raises:
            BaseException: Any other error of the thread.
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


class Saving:
    """Saves the state of a run beside the training.

    A checkpoint that cannot be written is reported and the run goes on: the earlier ones are there, and the next may be
    written. It is an error only where a run ends, in `finish`.

    A state that is not finite is not saved. The writing thread finds that out; from then on nothing is written, and the
    run must end.

    Args:
        checkpoints: The folder of the checkpoints.
        settings: `config.train` of the run.
        capture: Makes the metrics so far durable and returns the current arrays, the description with `step`, and the
            validation losses by step. The arrays must not change afterwards.
        step: The step whose checkpoint the run goes on from, if any.
    """

    def __init__(
        self, checkpoints: Checkpoints, settings: ConfigDict, capture: Callable[[], _State], step: int | None = None
    ):
        self._checkpoints = checkpoints
        self._settings = settings
        self._capture = capture
        self._writer = CheckpointWriter(checkpoints, step)
        self._not_finite: exits.NotFinite | None = None

    def is_saved(self, step: int) -> bool:
        """Whether the checkpoint of this step is written or being written."""
        return self._writer.step == step

    def begin(self, step: int) -> None:
        """Begins to write a checkpoint of the current state, unless there is one; waits for the previous one.

        Args:
            step: Number of steps done.

        Raises:
            NotSaved: If the metrics cannot be made durable.
        """
        if self.is_saved(step):
            return
        self.wait(step)
        if self._not_finite is not None:
            return
        try:
            arrays, description, losses = self._capture()
        except OSError as error:
            raise self.failure("The metrics", error) from error
        self._writer.begin(arrays, description, losses)

    def look(self, step: int) -> bool:
        """Reports if a checkpoint could not be written, without waiting for one that is being written.

        Returns:
            Whether a state was not finite, so that the run must end: `finish` raises the error.
        """
        if not self._writer.busy:
            self.wait(step)
        return self._not_finite is not None

    def wait(self, step: int) -> None:
        """Waits for the checkpoint that is being written, and reports if it could not be.

        Args:
            step: Number of steps done.
        """
        failed = self._writer.step
        error = self._wait()
        if error is not None:
            every, last = self._settings.checkpoint_every, self._settings.steps
            print(
                f"The checkpoint of step {failed} could not be written: {error}. {self._what_stands()}. The run goes "
                f"on and tries again at step {min((step // every + 1) * every, last)} at the latest.",
                file=sys.stderr,
                flush=True,
            )

    def finish(self, step: int) -> None:
        """Waits until the current state is saved; tries once more if writing it failed.

        Args:
            step: Number of steps done.

        Raises:
            NotFinite: If this state or an earlier one is not finite.
            NotSaved: If the checkpoint cannot be written.
        """
        error = self._wait()
        if not self.is_saved(step):
            self.begin(step)
            error = self._wait()
        if self._not_finite is not None:
            raise self._not_finite
        if error is not None:
            raise self.failure(f"The checkpoint of step {step}", error) from error

    def failure(self, what: str, error: OSError) -> exits.NotSaved:
        """Makes the error of a run that must end because something could not be written.

        Args:
            what: Name of the thing, as the beginning of a sentence.
            error: The reason.
        """
        self._writer.wait()
        then = "goes on from there" if self._checkpoints.usable_steps() else "begins anew"
        return exits.NotSaved(
            f"{what} could not be written: {error}. {self._what_stands()}. The run ends; the same command {then} once "
            "there is room."
        )

    def _wait(self) -> OSError | None:
        """Waits for the checkpoint that is being written, and remembers if its state was not finite."""
        step = self._writer.step
        error = self._writer.wait()
        if not isinstance(error, NotFiniteArraysError):
            return error
        rest = self._checkpoints.usable_steps()
        back = f"; `--checkpoint=best` or `--checkpoint=STEP` ({', '.join(map(str, rest))}) goes back" if rest else ""
        self._not_finite = exits.NotFinite(
            f"Stopped: {error} in the state after step {step}, so no checkpoint of it is written. "
            f"{self._what_stands()}. An update can break weights though loss and gradient are finite: a lower learning "
            f"rate, a longer warm-up or stronger clipping may help. The same command "
            f"{'goes on from that checkpoint' if rest else 'begins anew'} and stops there again{back}."
        )
        return None

    def _what_stands(self) -> str:
        steps = self._checkpoints.usable_steps()
        return f"The checkpoint of step {steps[-1]} stands" if steps else "There is no checkpoint yet"
