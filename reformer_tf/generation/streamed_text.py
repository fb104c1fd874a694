"""Text from ids while they come."""

import codecs
from collections.abc import Callable, Iterable, Iterator, Sequence

# How many ids before a new one are decoded again with it.
_CONTEXT = 32


def to_bytes(ids: Sequence[int]) -> bytes:
    """The text of ids 0 to 255, which are the bytes; others, such as boundaries between documents, stand for none."""
    return bytes(token for token in ids if 0 <= token < 256)


def stream_bytes(
    ids: Iterable[int], decode: Callable[[Sequence[int]], bytes] = to_bytes, before: Sequence[int] = ()
) -> Iterator[bytes]:
    """Hands over the bytes of each id as soon as it is there.

    Args:
        ids: the ids, as they come.
        decode: the text of ids. More ids must only add to it, and by what they add they may depend on the ids right
            before them, not on those long ago.
        before: ids that stand before, whose own text is not handed over.

    Yields:
        Pieces of at least one byte.

    Example:
        >>> [piece.hex() for piece in byte_pieces([104, 195, 164])]
        ['68', 'c3', 'a4']
    """
    known = list(before[-_CONTEXT:])
    sent = len(decode(known)) if known else 0
    for token in ids:
        known.append(int(token))
        text = decode(known)
        new, sent = text[sent:], len(text)
        if len(known) >= 2 * _CONTEXT:
            # Or the work would grow with the square of the length. Beginnings are special: a blank may be left out.
            recent = known[-_CONTEXT:]
            if start := decode(recent):
                known, sent = recent, len(start)
        if new:
            yield new


def stream_text(
    ids: Iterable[int], decode: Callable[[Sequence[int]], bytes] = to_bytes, before: Sequence[int] = ()
) -> Iterator[str]:
    """Hands over text as soon as it is certain: whole characters only, however many ids one takes.

    Args:
        ids: the ids, as they come.
        decode: the text of ids as UTF-8; see `stream_bytes`.
        before: ids that stand before, whose own text is not handed over.

    Yields:
        Pieces of at least one character. Bytes that are no UTF-8 become replacement characters.

    Example:
        >>> list(pieces([104, 195, 164]))
        ['h', 'ä']
    """
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for new in stream_bytes(ids, decode, before):
        if text := decoder.decode(new):
            yield text
    rest = decoder.decode(b"", final=True)
    if rest:
        yield rest
