"""How the state of a run gets to the disk: when it waits for the disk, and what it says if it cannot write."""

import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from trainer import exits
from trainer.storage.checkpoints import Checkpoints
from trainer.storage.finite import NotFiniteArraysError

_State = tuple[Mapping[str, np.ndarray], Mapping[str, Any], Mapping[int, float]]


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


class Saving:
    """Saves the state of a run beside the training.

    A checkpoint that cannot be written is reported, and the run goes on: the earlier ones stand, and the next may find
    room. Only where a run ends, in `finish`, it is an error.

    A state that is not finite is no good one: the thread that writes finds it, nothing is written from then on, and the
    run must end.

    Args:
        checkpoints: The folder of the checkpoints.
        settings: `config.train` of the run.
        capture: Makes durable what a checkpoint of now stands for, and returns the arrays, the description with `step`,
            and the validation losses by step. Nobody may change the arrays afterwards.
        step: The step whose state is in the folder already, if the run goes on from one.
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
        """Whether there is a checkpoint of this step, or one is being written."""
        return self._writer.step == step

    def begin(self, step: int) -> None:
        """Begins to write a checkpoint of the state of now, unless there is one; waits for the one before.

        Args:
            step: Number of steps done.

        Raises:
            NotSaved: If what the checkpoint would stand for cannot be made durable.
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
        """Reports if a checkpoint could not be written; does not wait for one that is under way.

        Returns:
            Whether a state was found that is not finite, so that the run must end: `finish` says so.
        """
        if not self._writer.busy:
            self.wait(step)
        return self._not_finite is not None

    def wait(self, step: int) -> None:
        """Waits for the checkpoint under way, and reports if it could not be written.

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
        """Waits until there is a checkpoint of the state of now; tries once more if writing it failed.

        Args:
            step: Number of steps done.

        Raises:
            NotFinite: If it is not finite, or one before was not.
            NotSaved: If it cannot be written.
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
        """What to raise where a run must end because something could not be written.

        Args:
            what: What it was, as the beginning of a sentence.
            error: Why not.
        """
        self._writer.wait()
        then = "goes on from there" if self._checkpoints.usable_steps() else "begins anew"
        return exits.NotSaved(
            f"{what} could not be written: {error}. {self._what_stands()}. The run ends; the same command {then} once "
            "there is room."
        )

    def _wait(self) -> OSError | None:
        """Waits for the checkpoint under way, and remembers if its state was not finite."""
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
