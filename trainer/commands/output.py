"""Standard output and error of a process that must outlive whoever reads them.

A write to a pipe that nobody reads any more fails (EPIPE), so does one to a terminal that is gone (EIO) or to a file on
a full disk (ENOSPC), and a process would end with a traceback wherever it happened to print. Here the first two are
told to one function, once for each stream, and what is written from then on goes nowhere; after the third, a run goes
on without what could not be printed, and a command whose output is its result gets the error.
"""

import errno
import io
import os
import sys
from collections.abc import Callable
from typing import Any, TextIO

_NOBODY_READS = (errno.EPIPE, errno.EIO)


class _Guarded(io.FileIO):
    """A file descriptor that takes what it can, in place of a stream that must not close it."""

    def __init__(self, stream: TextIO, on_closed: Callable[[], None], needed: bool):
        super().__init__(stream.fileno(), "w", closefd=False)
        self.name = stream.name
        self._replaced = stream
        self._on_closed = on_closed
        self._needed = needed

    def write(self, content: Any, /) -> int:
        try:
            return super().write(content)
        except OSError as error:
            if error.errno in _NOBODY_READS:
                _lead_nowhere(self.fileno())  # For TensorFlow and child processes too.
                self._on_closed()
            elif self._needed:
                raise
            return len(content)


def open_missing() -> None:
    """Opens the standard descriptors that the process was started without.

    The next file to be opened would get their numbers, and what TensorFlow writes to descriptor 2 would end in it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            _lead_nowhere(descriptor)


def guard(on_closed: Callable[[], None], needed: bool = False) -> None:
    """Makes `sys.stdout` and `sys.stderr` go on when nobody reads them any more.

    Args:
        on_closed: Called when the first write fails, in the thread that writes and for each of the two.
        needed: Whether an output that cannot be written for another reason is an error.
    """
    sys.stdout = _guarded(sys.stdout, on_closed, needed)
    sys.stderr = _guarded(sys.stderr, on_closed, needed=False)


def _guarded(stream: TextIO | None, on_closed: Callable[[], None], needed: bool) -> TextIO:
    if stream is None:  # The process was started without it.
        return open(os.devnull, "w", encoding="utf-8")
    if not isinstance(stream, io.TextIOWrapper):  # Someone has put something else there, which is theirs to guard.
        return stream
    stream.flush()
    raw = _Guarded(stream, on_closed, needed)
    return io.TextIOWrapper(
        raw if stream.write_through else io.BufferedWriter(raw),  # As Python does with -u.
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _lead_nowhere(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != descriptor:
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
