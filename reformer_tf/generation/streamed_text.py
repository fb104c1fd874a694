"""Streams text from ids as they are generated."""

import codecs
from collections.abc import Callable, Iterable, Iterator, Sequence

# The number of ids before a new one that are decoded again with it.
_CONTEXT = 32


def to_bytes(ids: Sequence[int]) -> bytes:
    """The bytes of ids 0 to 255; other ids, such as boundaries between documents, have no text."""
    return bytes(token for token in ids if 0 <= token < 256)


def stream_bytes(
    ids: Iterable[int], decode: Callable[[Sequence[int]], bytes] = to_bytes, before: Sequence[int] = ()
) -> Iterator[bytes]:
    """Yields the bytes of each id as soon as it comes.

    Args:
        ids: the ids, as they come.
        decode: maps ids to bytes. More ids must only append bytes, and these may depend on the few ids before, not on
            those long ago.
        before: ids before the first; their own text is not yielded.

    Yields:
        At least one byte at a time.

    Example:
        >>> [part.hex() for part in stream_bytes([104, 195, 164])]
        ['68', 'c3', 'a4']
    """
    known = list(before[-_CONTEXT:])
    sent = len(decode(known)) if known else 0
    for token in ids:
        known.append(int(token))
        text = decode(known)
        new, sent = text[sent:], len(text)
        if len(known) >= 2 * _CONTEXT:
            # Otherwise the work would grow with the square of the length. The text of `recent` by itself may lack a
            # blank at its beginning, so its length is computed anew.
            recent = known[-_CONTEXT:]
            if start := decode(recent):
                known, sent = recent, len(start)
        if new:
            yield new


def stream_text(
    ids: Iterable[int], decode: Callable[[Sequence[int]], bytes] = to_bytes, before: Sequence[int] = ()
) -> Iterator[str]:
    """Yields text as soon as it is certain: only complete characters, however many ids one takes.

    Args:
        ids: the ids, as they come.
        decode: maps ids to UTF-8; see `stream_bytes`.
        before: ids before the first; their own text is not yielded.

    Yields:
        At least one character at a time. Bytes that are no UTF-8 become replacement characters.

    Example:
        >>> list(stream_text([104, 195, 164]))
        ['h', 'ä']
    """
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for new in stream_bytes(ids, decode, before):
        if text := decoder.decode(new):
            yield text
    rest = decoder.decode(b"", final=True)
    if rest:
        yield rest
