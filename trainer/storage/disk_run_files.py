"""The files of a run on the disk: what is saved when, while the run goes on, and what is said where that fails.

A checkpoint passes three layers: this one decides when the state is saved and makes the metrics durable before;
`Checkpoints` keeps few files and finds the one to go on from; `checkpoint_file` is the format of one file.
"""

import concurrent.futures
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from trainer import config as configs
from trainer import exits
from trainer.storage import metrics
from trainer.storage.event_files import EventFiles
from trainer.storage.finite_check import NotFiniteArraysError
from trainer.storage.workdir import Workdir

Capture = Callable[[], tuple[Mapping[str, np.ndarray], Mapping[str, Any]]]


class DiskRunFiles:
    """The files of a run in the process that writes them; see `RunFiles` for the methods.

    One checkpoint at a time is written in a thread beside the training. The thread is no daemon, so a process that ends
    normally finishes the file. A process that is killed leaves the earlier checkpoints unchanged, and at most a
    temporary file that does not count.

    A checkpoint that cannot be written is reported and the run goes on: the earlier ones are there, and the next may be
    written. It is an error only where a run ends, in `finish`. A state that is not finite is not saved. The writing
    thread finds that out; from then on nothing is written, and the run must end.

    Args:
        workdir: The folder of the run.
        config: Config of the run, which is written to the folder.
        step: Number of steps done in the state that the run goes on from.
        capture: Copies the current state to the host: arrays by name, which do not change any more, and the
            description, with `step`.
    """

    def __init__(self, workdir: Workdir, config: ConfigDict, step: int, capture: Capture):
        configs.write_config(config, workdir.config)
        self._metrics = metrics.Metrics(workdir.metrics, step)
        self._events = EventFiles(workdir.events, self._metrics.records, configs.as_dict(config))
        self._checkpoints = workdir.checkpoints(config.train.keep_checkpoints)
        self._settings = config.train
        self._capture = capture
        # The step whose checkpoint is written or being written; None if there is none, or after a failure.
        self._saved = step if self._checkpoints.steps() else None
        self._writing: concurrent.futures.Future[None] | None = None
        self._not_finite: exits.NotFinite | None = None

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
            raise self._not_saved(f"A metrics line of step {step}", error) from error
        self._events.write(record)

    def save(self, step: int) -> None:
        if self._saved == step:
            return
        self._wait_and_report(step)
        if self._not_finite is not None:
            return
        try:
            self._metrics.sync()
            self._events.flush()
            arrays, description = self._capture()
        except OSError as error:
            raise self._not_saved("The metrics", error) from error
        self._write_in_a_thread(step, arrays, description)

    def look(self, step: int) -> bool:
        if self._writing is not None and self._writing.done():
            self._wait_and_report(step)
        return self._not_finite is not None

    def finish(self, step: int) -> None:
        error = self._wait()
        if self._saved != step:  # It is tried once more if writing it failed.
            self.save(step)
            error = self._wait()
        if self._not_finite is not None:
            raise self._not_finite
        if error is not None:
            raise self._not_saved(f"The checkpoint of step {step}", error) from error

    def keep_best(self, step: int) -> None:
        if metrics.best_step(self._costs()) != step:
            return
        if self._saved == step:
            self.prune(step)
        else:
            self.save(step)

    def prune(self, step: int) -> None:
        self._wait_and_report(step)
        self._checkpoints.prune(self._costs())

    def close(self, step: int) -> None:
        self._wait_and_report(step)
        self._metrics.close()
        self._events.close()

    def _costs(self) -> dict[int, float]:
        """Values of the metric by which the best checkpoint is retained, by step."""
        return metrics.validation_costs(self._metrics.records, self._settings.best_metric)

    def _write_in_a_thread(self, step: int, arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> None:
        """Starts a thread that writes a checkpoint, and remembers it also where an interrupt comes in between."""
        writing: concurrent.futures.Future[None] = concurrent.futures.Future()
        costs = self._costs()

        def write() -> None:
            if not writing.set_running_or_notify_cancel():
                return
            try:
                self._checkpoints.save(step, arrays, description, costs)
            except BaseException as error:  # It is raised where it is waited for.
                writing.set_exception(error)
            else:
                writing.set_result(None)

        try:
            self._saved, self._writing = step, writing
            threading.Thread(target=write, name="checkpoint-writer", daemon=False).start()
        except BaseException:
            if writing.cancel():  # It does not run and will not.
                self._saved = self._writing = None
            raise

    def _wait_and_report(self, step: int) -> None:
        """Waits for the checkpoint that is being written, and reports if it could not be."""
        failed = self._saved
        error = self._wait()
        if error is not None:
            every, last = self._settings.checkpoint_every, self._settings.steps
            print(
                f"The checkpoint of step {failed} could not be written: {error}. {self._what_stands()}. The run goes "
                f"on and tries again at step {min((step // every + 1) * every, last)} at the latest.",
                file=sys.stderr,
                flush=True,
            )

    def _wait(self) -> OSError | None:
        """Waits for the checkpoint that is being written, and remembers if its state was not finite.

        Returns:
            Why it could not be written, for instance because the disk is full; None if it was.

        Raises:
            BaseException: Any other error of the thread.
        """
        if self._writing is None:
            return None
        step, error = self._saved, self._writing.exception()
        self._writing = None
        if error is None:
            return None
        self._saved = None
        if isinstance(error, OSError):
            return error
        if not isinstance(error, NotFiniteArraysError):
            raise error
        rest = self._checkpoints.usable_steps()
        back = f"; `--checkpoint=best` or `--checkpoint=STEP` ({', '.join(map(str, rest))}) goes back" if rest else ""
        self._not_finite = exits.NotFinite(
            f"Stopped: {error} in the state after step {step}, so no checkpoint of it is written. "
            f"{self._what_stands()}. An update can break weights though loss and gradient are finite: a lower learning "
            f"rate, a longer warm-up or stronger clipping may help. The same command "
            f"{'goes on from that checkpoint' if rest else 'begins anew'} and stops there again{back}."
        )
        return None

    def _not_saved(self, what: str, error: OSError) -> exits.NotSaved:
        """Makes the error of a run that must end because something, `what`, could not be written."""
        self._wait()
        then = "goes on from there" if self._checkpoints.usable_steps() else "begins anew"
        return exits.NotSaved(
            f"{what} could not be written: {error}. {self._what_stands()}. The run ends; the same command {then} once "
            "there is room."
        )

    def _what_stands(self) -> str:
        steps = self._checkpoints.usable_steps()
        return f"The checkpoint of step {steps[-1]} stands" if steps else "There is no checkpoint yet"
