"""Writes text of any bytes to standard output: unchanged to a file or pipe, printable to a terminal."""

import codecs
import errno
import re
import sys
from typing import TextIO

# Control characters except line ends and tabs, and characters that change the direction of writing.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class TextOutput:
    r"""Writes bytes to a text stream and flushes it after each fragment.

    A file or pipe gets the bytes as they are, and nothing else. A terminal gets characters: bytes that are not UTF-8
    and control characters, which could move the cursor or change the terminal's settings, are written as `\xff` or
    `\x1b`.

    Args:
        stream: The stream; by default standard output.

    Raises:
        OSError: If standard output is closed.
    """

    def __init__(self, stream: TextIO | None = None):
        self._stream = stream or sys.stdout
        if self._stream is None:
            raise OSError(errno.EBADF, "standard output is closed")
        self._is_terminal = self._stream.isatty()
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="backslashreplace")

    def write(self, fragment: bytes) -> None:
        """Writes a fragment of a text; a terminal gets a character once all its bytes are there.

        Raises:
            OSError: If it cannot be written.
        """
        self._put(self._shown(self._decoder.decode(fragment)) if self._is_terminal else fragment)

    def end(self, line_end: bool = False) -> None:
        """Ends a text; on a terminal, or if it is asked for, with the end of a line.

        Raises:
            OSError: If it cannot be written.
        """
        rest = self._shown(self._decoder.decode(b"", final=True)) if self._is_terminal else b""
        self._put(rest + (b"\n" if line_end or self._is_terminal else b""))

    def _shown(self, text: str) -> bytes:
        shown = _CONTROLS.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)
        return shown.encode(self._stream.encoding or "utf-8", errors="backslashreplace")

    def _put(self, content: bytes) -> None:
        if content:
            self._stream.buffer.write(content)
            self._stream.buffer.flush()
