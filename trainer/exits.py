"""Exit codes of a run, and requests to stop it before its last step."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType

DONE = 0
"""The last step is done, evaluated and saved."""
REFUSED = 2
"""The config, the data or the working directory cannot be used. Nothing was changed."""
NOT_FINITE = 3
"""A loss or gradient was not finite, or the weights after an update. The last finite state is saved; the same config
would stop there again."""
LOST_PEER = 69
"""Another process of the run is gone. Started again, all of them go on from the newest checkpoint (EX_UNAVAILABLE)."""
NOT_SAVED = 74
"""A file of the run could not be written, on a full disk for instance. The earlier checkpoints are unchanged, and the
same command goes on from the newest of them (EX_IOERR of sysexits.h)."""
STOPPED = 75
"""SIGTERM, SIGHUP, Ctrl-C, or an output that nobody reads any more. The state is saved, and the same command goes on
from there (EX_TEMPFAIL of sysexits.h)."""

BEFORE_THE_FIRST_STEP = "Stopped before the first step."


class Stopped(BaseException):  # Not an Exception: no handler of errors may catch a request.
    """Raised when a stop is requested where a run may end at once, because its state is saved."""


class EndOfRun(Exception):  # noqa: N818 (what became of the run)
    """Raised when a run must end before its last step. The message says why, and which checkpoint is the newest.

    Attributes:
        code: Exit code of the process.
    """

    code: int


class NotSaved(EndOfRun):
    """Raised when the run cannot write its files."""

    code = NOT_SAVED


class NotFinite(EndOfRun):
    """Raised when weights or slots are not finite, so that the state cannot be saved as a good one."""

    code = NOT_FINITE


def stop_signals() -> tuple[signal.Signals, ...]:
    """Returns the signals that ask a process to stop; SIGHUP only if it is not ignored, as it is under `nohup`."""
    hang_up = () if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else (signal.SIGHUP,)
    return (signal.SIGTERM, signal.SIGINT, *hang_up)


class StopRequest:
    """Turns SIGTERM, SIGHUP and Ctrl-C into a request that the training loop checks between two steps.

    A second Ctrl-C interrupts at once. Outside the main thread, where Python delivers no signals, no handler is set.

    A process that has begun nothing yet may end at once: see `end_at_once`.

    Example:
        >>> with StopRequest() as stop:
        ...     while not stop.requested:
        ...         stop.requested = True
    """

    def __init__(self) -> None:
        self.requested = False
        self._interruptible = False
        self._at_once = False
        self._previous: dict[signal.Signals, object] = {}

    def __enter__(self) -> "StopRequest":
        if not self._at_once:
            self._install()
        self._at_once = False
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def end_at_once(self) -> None:
        """Lets a signal end the process until the request is entered, because nothing is begun before that.

        The handlers stay to the end of the process, also after the request is left: a later signal has nothing to stop.
        """
        self._install()
        self._previous.clear()
        self._at_once = True

    def take_closed_output(self) -> None:
        """Requests a stop, like SIGTERM, because nobody reads the output any more. Works in any thread."""
        if self._at_once:
            self.requested = True  # The loop checks it once it runs.
        else:
            # Python handles the signal in the main thread, the only one that can be interrupted.
            os.kill(os.getpid(), signal.SIGTERM)

    def _install(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in stop_signals():
            self._previous[number] = signal.signal(number, self._on_signal)

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Lets a request end the enclosed work at once, by raising `Stopped`.

        Raises:
            Stopped: If a stop was requested before or is requested inside.
        """
        self._interruptible = True
        try:
            if self.requested:
                raise Stopped
            yield
        finally:
            self._interruptible = False

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._at_once:
            with contextlib.suppress(OSError):
                os.write(1, f"{BEFORE_THE_FIRST_STEP}\n".encode())  # `print` may be what the signal interrupts.
            os._exit(STOPPED)
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = True
        if self._interruptible:
            raise Stopped
