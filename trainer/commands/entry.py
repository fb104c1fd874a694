"""Start and exit of the process of a command: signals, output and interpreter.

Importing TensorFlow takes seconds, and so does Python's teardown of modules and graphs. A command must react to signals
from the start, so `begin` is called before the slow imports. When the work is done, the process exits without the
teardown. This module imports only the standard library.
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
"""The stop request of the run in this process."""


class _Ending:
    """Ends the process after all `atexit` functions, if its exit code is known."""

    def __init__(self) -> None:
        self.code: int | None = None
        self.retained: list[object] = []

    def leave(self) -> None:
        """Exits without tearing down modules, unless an error is being raised."""
        if self.code is None:
            return
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(self.code)


_ENDING = _Ending()


def keep(large: object) -> None:
    """Keeps an object alive to the end of the process, because releasing the graphs of a run takes seconds."""
    _ENDING.retained.append(large)


def begin(stop: exits.StopRequest | None = None) -> None:
    """Begins the process of a command. Call it before anything slow is imported.

    Args:
        stop: The stop request of a run. Until it is entered, SIGTERM, SIGHUP and Ctrl-C end the process with
            `exits.STOPPED`; an output that nobody reads any more counts as a request. None for commands that save
            nothing: signals and broken pipes then end the process in the usual way.
    """
    # The function that is registered first is called last: after those of all later imports, and after threads that
    # still have work, such as writing a checkpoint.
    atexit.register(_ENDING.leave)
    output.open_missing()
    if stop is None:
        _exchange(signal.default_int_handler, signal.SIG_DFL)  # Instead of a traceback from a half-done import.
        output.guard(lambda: _die_by_signal(signal.SIGPIPE), needed=True)
    else:
        stop.end_at_once()
        output.guard(stop.take_closed_output)


def run(command: Callable[[], None]) -> None:
    """Runs a command and ends the process with the code of its `SystemExit`, or by SIGINT after Ctrl-C.

    Args:
        command: The command. All slow imports are done.
    """
    _exchange(signal.SIG_DFL, signal.default_int_handler)  # From here on Ctrl-C raises KeyboardInterrupt.
    # Tracing makes millions of objects, and each garbage collection would scan all imported modules again: a tenth of
    # the time.
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
    """Replaces the handler of Ctrl-C if it is `old`."""
    if signal.getsignal(signal.SIGINT) == old:
        signal.signal(signal.SIGINT, new)  # type: ignore[arg-type]


def _die_by_signal(number: signal.Signals) -> None:
    """Ends the process by a signal, so that the shell knows why and a script of commands stops."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, RuntimeError):  # The signal may have interrupted a write.
            stream.flush()
    if threading.current_thread() is threading.main_thread():
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(128 + number)  # The code by which a shell reports a signal.
