"""Headers of gettext catalogues, made such that babel can read them.

Of a header only the charset, the plural forms and, without those, the language say how messages are read. Babel refuses
a whole catalogue for other things that many have: dates in forms of their own, and the names of translators in other
charsets than UTF-8, which it meets before it knows the charset. A header stays as long as it was, so that the numbers
of lines and the offsets in a file stay right.
"""

from __future__ import annotations

import re
import struct

_ENDIANNESS = {b"\xde\x12\x04\x95": "<", b"\x95\x04\x12\xde": ">"}  # By the first bytes of a compiled catalogue.
_ASCII = bytes(value if value < 128 else ord("?") for value in range(256))
# Dates; languages that are none; and the plural forms of a template that nobody has filled in.
_UNREADABLE = re.compile(
    rb"""^("?(?:
        (?:PO-Revision-Date|POT-Creation-Date):
        | Language:(?!\s*(?:[a-z]+(?:[-_][a-z0-9]+)*(?:@\w+)?)?\s*(?:\\|"|$))
        | Plural-Forms:(?=\s*nplurals=INTEGER)
    ))([^\\"\n]*)""",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)


def readable_po(content: bytes) -> bytes:
    r"""Returns a `.po` file with a header that babel can read.

    Example:
        >>> print(readable_po(b'msgid ""\n"PO-Revision-Date: today\\n"').decode())
        msgid ""
        "PO-Revision-Date:      \n"
    """
    header = re.search(rb'^msgid\s+""', content, re.MULTILINE)
    if header is None:
        return content
    following = re.compile(rb"^(?:#~\s*)?(?:msgid|msgctxt)\b", re.MULTILINE).search(content, header.end())
    return _readable(content, 0, following.start() if following else len(content))


def readable_mo(content: bytes) -> bytes:
    """Returns a `.mo` file with a header that babel can read; what is no such file stays as it is."""
    byte_order = _ENDIANNESS.get(content[:4])
    if byte_order is None or len(content) < 20:
        return content
    count, ids, translations = struct.unpack(f"{byte_order}3I", content[8:20])
    if not count or max(ids, translations) + 8 > len(content):
        return content
    if struct.unpack_from(f"{byte_order}I", content, ids)[0]:  # The header has the empty id, which comes first.
        return content
    size, start = struct.unpack_from(f"{byte_order}2I", content, translations)
    return _readable(content, start, start + size)


def _readable(content: bytes, start: int, stop: int) -> bytes:
    header = content[start:stop].translate(_ASCII)
    header = _UNREADABLE.sub(lambda match: match[1] + b" " * len(match[2]), header)
    return content[:start] + header + content[stop:]
