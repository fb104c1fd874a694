"""A rule for which files are text, simple enough to be checked by hand.

Text holds no NUL byte, and at least 95 of 100 bytes are UTF-8 without control characters other than line ends, tabs and
those that terminals know (backspace, form feed, escape). Archives, images, arrays and compressed files break one of the
two conditions. A few broken bytes do no harm, nor does a character that is cut at the end. Text in another encoding
counts as text if few of its letters are outside of ASCII (English or German in Latin-1, for instance), and otherwise
not (Cyrillic in KOI8-R, UTF-16).
"""

import codecs

WITH_NUL = "with NUL bytes"
NOT_UTF8 = "not UTF-8 text"

_CONTROLS = bytes({*range(1, 32), 127} - {*b"\b\t\n\f\r\x1b"})
_MOST_STRANGE = 0.05
_BLOCK = 1 << 20  # Bytes at a time, since the characters of a block can take four times its memory.


def has_nul(content: bytes) -> bool:
    """Whether there is a NUL byte."""
    return b"\0" in content


def fault(content: bytes) -> str:
    r"""Returns why bytes are no text: `WITH_NUL` or `NOT_UTF8`; empty if they are text.

    Example:
        >>> fault(b"def f():\n"), fault(b"a\0b"), fault(bytes(range(128, 255)))
        ('', 'with NUL bytes', 'not UTF-8 text')
    """
    if has_nul(content):
        return WITH_NUL
    decoder = codecs.getincrementaldecoder("utf-8")(errors="ignore")
    strange = len(content)
    for start in range(0, len(content), _BLOCK):
        block = decoder.decode(content[start : start + _BLOCK]).encode("utf-8")
        strange -= len(block.translate(None, _CONTROLS))
    return NOT_UTF8 if strange > _MOST_STRANGE * len(content) else ""
