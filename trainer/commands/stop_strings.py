"""Stop strings: they end a streamed text, also where they span several fragments of it."""

from collections.abc import Iterable, Iterator, Sequence


def until(fragments: Iterable[bytes], stops: Sequence[bytes]) -> Iterator[bytes]:
    """Yields a text up to the first stop string, without it.

    Bytes that may begin a stop string are held back until the following bytes decide it.

    Args:
        fragments: The text in fragments. None is read beyond the one that completes a stop string.
        stops: The stop strings, none of them empty. The one that is complete first ends the text; among several that
            end at the same byte, the longest.

    Yields:
        Fragments of at least one byte.

    Example:
        >>> list(until([b"one", b"; t", b"wo"], [b"; two"]))
        [b'one']
    """
    pending = b""
    for fragment in fragments:
        pending += fragment
        found = [(start + len(stop), start) for stop in stops if (start := pending.find(stop)) >= 0]
        if found:
            _, start = min(found)
            if start:
                yield pending[:start]
            return
        sure = len(pending) - _held_back(pending, stops)
        if sure:
            yield pending[:sure]
            pending = pending[sure:]
    if pending:
        yield pending


def _held_back(pending: bytes, stops: Sequence[bytes]) -> int:
    """Counts the bytes at the end that may begin a stop string."""
    lengths = range(max(map(len, stops), default=1) - 1, 0, -1)
    return next((n for n in lengths if any(len(stop) > n and pending.endswith(stop[:n]) for stop in stops)), 0)
