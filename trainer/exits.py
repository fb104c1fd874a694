"""What the process of a run returns, and how a run is asked to stop before its last step."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType

DONE = 0
"""The last step is done, evaluated and saved."""
REFUSED = 2
"""The config, the data or the working directory cannot be used. Nothing was changed."""
NOT_FINITE = 3
"""A loss or gradient was not finite. The state before that step is saved; the same config would stop there again."""
LOST_PEER = 69
"""Another process of the run is gone. Started again, all of them go on from the newest checkpoint (EX_UNAVAILABLE)."""
NOT_SAVED = 74
"""Something of the run could not be written, on a full disk for instance. The earlier checkpoints are as they were, and
the same command goes on from the newest of them (EX_IOERR of sysexits.h)."""
STOPPED = 75
"""SIGTERM or Ctrl-C. The state is saved, and the same command goes on from there (EX_TEMPFAIL of sysexits.h)."""


class Stopped(Exception):  # noqa: N818 (it is a request, not an error)
    """Raised where a run may be left at once, because its state is saved."""


class NotSaved(Exception):  # noqa: N818 (what became of the run)
    """Raised where a run must end because it cannot write; the message says what, and which checkpoint stands."""


class StopRequest:
    """Turns SIGTERM and Ctrl-C into a request that the training loop looks at between two steps.

    A second Ctrl-C interrupts at once. Outside the main thread, where Python delivers no signals, nothing is installed.

    Example:
        >>> with StopRequest() as stop:
        ...     while not stop.requested:
        ...         stop.requested = True
    """

    def __init__(self) -> None:
        self.requested = False
        self._interruptible = False
        self._previous: dict[signal.Signals, object] = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

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
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = True
        if self._interruptible:
            raise Stopped
