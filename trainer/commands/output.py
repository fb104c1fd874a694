"""Guards standard output and error, so that a process survives the loss of their reader.

A write fails if nobody reads the pipe any more (EPIPE), if the terminal is gone (EIO) or if the disk is full (ENOSPC),
and would end the process with a traceback wherever it happens to print. After EPIPE and EIO a function is called, once
for each stream, and later output is discarded. After ENOSPC a run goes on without the output, and a command whose
output is its result gets the error.
"""

import errno
import io
import os
import sys
from collections.abc import Callable
from typing import Any, TextIO

_NOBODY_READS = (errno.EPIPE, errno.EIO)


class _Guarded(io.FileIO):
    """Raw file over the descriptor of a stream, which it keeps so that the stream does not close the descriptor."""

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

    Otherwise the next files to be opened get their numbers, and messages of TensorFlow to descriptor 2 end up in one.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            _lead_nowhere(descriptor)


def guard(on_closed: Callable[[], None], needed: bool = False) -> None:
    """Makes writing to `sys.stdout` and `sys.stderr` survive the loss of their readers.

    Args:
        on_closed: Called when the first write fails, in the thread that writes and for each of the two.
        needed: Whether standard output that cannot be written for another reason raises the error.
    """
    sys.stdout = _guarded(sys.stdout, on_closed, needed)
    sys.stderr = _guarded(sys.stderr, on_closed, needed=False)


def _guarded(stream: TextIO | None, on_closed: Callable[[], None], needed: bool) -> TextIO:
    if stream is None:  # The process was started without it.
        return open(os.devnull, "w", encoding="utf-8")
    if not isinstance(stream, io.TextIOWrapper):  # Replaced by a caller, who has to guard it.
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
