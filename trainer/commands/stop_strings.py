"""Strings that end a text, wherever the pieces of it begin and end."""

from collections.abc import Iterable, Iterator, Sequence


def until(fragments: Iterable[bytes], stops: Sequence[bytes]) -> Iterator[bytes]:
    """Hands on pieces until a stop string is there; neither it nor what follows is handed on.

    Bytes that may be the beginning of a stop string are held back until the next ones tell.

    Args:
        fragments: The text as it comes. No more of it is asked for than it takes to find a stop string.
        stops: The stop strings, none of them empty. The one that is complete first counts; of those that are complete
            with the same byte, the longest.

    Yields:
        Pieces of at least one byte.

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
    """How many bytes at the end are the beginning of a stop string, at most."""
    lengths = range(max(map(len, stops), default=1) - 1, 0, -1)
    return next((n for n in lengths if any(len(stop) > n and pending.endswith(stop[:n]) for stop in stops)), 0)
