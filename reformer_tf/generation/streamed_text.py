"""Text from ids while they come."""

import codecs
from collections.abc import Callable, Iterable, Iterator, Sequence

# How many ids before a new one are decoded again with it.
_CONTEXT = 32


def bytes_of(ids: Sequence[int]) -> bytes:
    """The text of ids 0 to 255, which are the bytes; others, such as boundaries between documents, stand for none."""
    return bytes(token for token in ids if 0 <= token < 256)


def byte_pieces(
    ids: Iterable[int], decode: Callable[[Sequence[int]], bytes] = bytes_of, before: Sequence[int] = ()
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
        whole = decode(known)
        piece, sent = whole[sent:], len(whole)
        if len(known) >= 2 * _CONTEXT:
            # Or the work would grow with the square of the length. Beginnings are special: a blank may be left out.
            latest = known[-_CONTEXT:]
            if start := decode(latest):
                known, sent = latest, len(start)
        if piece:
            yield piece


def pieces(
    ids: Iterable[int], decode: Callable[[Sequence[int]], bytes] = bytes_of, before: Sequence[int] = ()
) -> Iterator[str]:
    """Hands over text as soon as it is certain: whole characters only, however many ids one takes.

    Args:
        ids: the ids, as they come.
        decode: the text of ids as UTF-8; see `byte_pieces`.
        before: ids that stand before, whose own text is not handed over.

    Yields:
        Pieces of at least one character. Bytes that are no UTF-8 become replacement characters.

    Example:
        >>> list(pieces([104, 195, 164]))
        ['h', 'ä']
    """
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for new in byte_pieces(ids, decode, before):
        if piece := decoder.decode(new):
            yield piece
    rest = decoder.decode(b"", final=True)
    if rest:
        yield rest
