"""Beginning and end of the process of a command: signals, output and interpreter, from before the slow imports on.

TensorFlow takes seconds to be imported and Python seconds to take its modules and graphs apart. A command must end as
it should whenever it is told to, so `begin` comes before the imports; and once nothing is left to be done the process
ends at once. This module imports only the standard library.
"""

import atexit
import contextlib
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable

from trainer import exits
from trainer.commands import output

STOP = exits.StopRequest()
"""What the run of this process is asked to stop by."""


class _Ending:
    """Ends the process once its code is known and everything that Python promises at the end is done."""

    def __init__(self) -> None:
        self.code: int | None = None
        self.retained: list[object] = []

    def leave(self) -> None:
        """Leaves out the taking apart of modules, unless an error is on its way out."""
        if self.code is None:
            return
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(self.code)


_ENDING = _Ending()


def keep(large: object) -> None:
    """Keeps something to the end of the process: to release the graphs of a run when it is left takes seconds."""
    _ENDING.retained.append(large)


def begin(stop: exits.StopRequest | None = None) -> None:
    """Begins the process of a command; to be called before anything slow is imported.

    Args:
        stop: What a run is asked to stop by. SIGTERM, SIGHUP and Ctrl-C then end the process with `exits.STOPPED` until
            it is entered, and an output that nobody reads any more is a request to stop. Without one, as in commands
            that save nothing, the process dies of these as processes do.
    """
    # The first to be registered is called last: after the functions of everything that is imported from here on, and
    # after the threads that have something to finish, such as one that writes a checkpoint.
    atexit.register(_ENDING.leave)
    output.open_missing()
    if stop is None:
        _exchange(signal.default_int_handler, signal.SIG_DFL)  # A traceback, or an error in what is half imported.
        output.guard(lambda: _die_by_signal(signal.SIGPIPE), needed=True)
    else:
        stop.end_at_once()
        output.guard(stop.take_closed_output)


def run(command: Callable[[], None]) -> None:
    """Runs a command, and ends the process as it says: with the code of its `SystemExit`, or by Ctrl-C.

    Args:
        command: What it does, everything imported.
    """
    _exchange(signal.SIG_DFL, signal.default_int_handler)  # What is under way is left in an orderly way.
    # Tracing makes millions of objects, for which Python would look for garbage among all that was imported again and
    # again: a tenth of the time.
    gc.freeze()
    gc.set_threshold(200_000, 50, 100)
    try:
        command()
        _ENDING.code = exits.DONE
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            _ENDING.code = end.code or exits.DONE
        raise
    except KeyboardInterrupt:
        _die_by_signal(signal.SIGINT)


def _exchange(old: object, new: object) -> None:
    """Changes what Ctrl-C does, if it does what is expected."""
    if signal.getsignal(signal.SIGINT) == old:
        signal.signal(signal.SIGINT, new)  # type: ignore[arg-type]


def _die_by_signal(number: signal.Signals) -> None:
    """Ends the process by a signal, so that the shell knows why and a script of commands stops."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, RuntimeError):  # It may be in the middle of a write.
            stream.flush()
    if threading.current_thread() is threading.main_thread():
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(128 + number)  # As a shell would say it.
