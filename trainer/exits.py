"""What the process of a run returns, and how a run is asked to stop before its last step."""

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
"""Something of the run could not be written, on a full disk for instance. The earlier checkpoints are as they were, and
the same command goes on from the newest of them (EX_IOERR of sysexits.h)."""
STOPPED = 75
"""SIGTERM, SIGHUP, Ctrl-C, or an output that nobody reads any more. The state is saved, and the same command goes on
from there (EX_TEMPFAIL of sysexits.h)."""

BEFORE_THE_FIRST_STEP = "Stopped before the first step."


class Stopped(BaseException):  # A request, which nothing may take for an error.
    """Raised where a run may be left at once, because its state is saved."""


class EndOfRun(Exception):  # noqa: N818 (what became of the run)
    """Raised where a run must end before its last step; the message says why, and which checkpoint stands.

    Attributes:
        code: What the process returns.
    """

    code: int


class NotSaved(EndOfRun):
    """The run cannot write."""

    code = NOT_SAVED


class NotFinite(EndOfRun):
    """Weights or slots are not finite, so that there is nothing that could be saved as a good state."""

    code = NOT_FINITE


def stop_signals() -> tuple[signal.Signals, ...]:
    """The signals that ask a process to stop: SIGHUP is none where it is ignored, as under `nohup`."""
    hang_up = () if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else (signal.SIGHUP,)
    return (signal.SIGTERM, signal.SIGINT, *hang_up)


class StopRequest:
    """Turns SIGTERM, SIGHUP and Ctrl-C into a request that the training loop looks at between two steps.

    A second Ctrl-C interrupts at once. Outside the main thread, where Python delivers no signals, nothing is installed.

    A process that stops before it has begun anything may end at once: see `end_at_once`.

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
        """Lets a signal end the process until the request is entered, as nothing is begun before.

        The signals stay with this request to the end of the process, also when it is left: one that comes then finds
        nothing to stop.
        """
        self._install()
        self._previous.clear()
        self._at_once = True

    def take_closed_output(self) -> None:
        """Takes note that nobody reads the output any more: a request as by SIGTERM, from any thread."""
        if self._at_once:
            self.requested = True  # Where there is work to stop, it is looked for.
        else:
            # Python handles it in the main thread, which alone can be interrupted.
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
