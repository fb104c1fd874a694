"""Text from ids while they come."""

import codecs
from collections.abc import Callable, Iterable, Iterator, Sequence

# How many ids before a new one are decoded again with it.
_CONTEXT = 32


def bytes_of(ids: Sequence[int]) -> bytes:
    """The text of ids 0 to 255, which are the bytes; others, such as boundaries between documents, stand for none."""
    return bytes(token for token in ids if 0 <= token < 256)


def pieces(ids: Iterable[int], decode: Callable[[Sequence[int]], bytes] = bytes_of) -> Iterator[str]:
    """Hands over text as soon as it is certain: whole characters only, however many ids one takes.

    Args:
        ids: the ids, as they come.
        decode: the text of ids as UTF-8. More ids must only add to it, and by what they add they may depend on the ids
            right before them, not on those long ago.

    Yields:
        Pieces of at least one character. Bytes that are no UTF-8 become replacement characters.

    Example:
        >>> list(pieces([104, 195, 164]))
        ['h', 'ä']
    """
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    known: list[int] = []
    sent = 0
    for token in ids:
        known.append(int(token))
        whole = decode(known)
        piece, sent = decoder.decode(whole[sent:]), len(whole)
        if len(known) >= 2 * _CONTEXT:
            # Or the work would grow with the square of the length. Beginnings are special: a blank may be left out.
            latest = known[-_CONTEXT:]
            if start := decode(latest):
                known, sent = latest, len(start)
        if piece:
            yield piece
    rest = decoder.decode(b"", final=True)
    if rest:
        yield rest
