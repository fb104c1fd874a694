"""Pairs of texts as they are read: those that are taken, and how many are left out for which reason."""

from __future__ import annotations

from collections import Counter

WITHOUT_TEXT = "source or target without text"
REPEATED = "repeated"


class FoundPairs:
    """Collects pairs of texts.

    Attributes:
        pairs: (source, target) of each pair that is taken.
        left_out: Number of pairs that are left out, by reason.
        has_keys: Whether any of them came from a file whose keys or columns have names.

    Example:
        >>> found = FoundPairs()
        >>> found.add(b"day", b"Tag")
        >>> found.add(b"night", b" ")
        >>> found.summary()
        '1 pair(s); left out: source or target without text: 1'
    """

    def __init__(self) -> None:
        self.pairs: list[tuple[bytes, bytes]] = []
        self.left_out: Counter[str] = Counter()
        self.has_keys = False
        self._of_catalogs: set[tuple[bytes, bytes]] = set()

    def add(self, source: bytes, target: bytes) -> None:
        """Takes a pair, unless one of its texts is empty or blank: nothing can be learnt from it."""
        if source.strip() and target.strip():
            self.pairs.append((source, target))
        else:
            self.left_out[WITHOUT_TEXT] += 1

    def add_once(self, source: bytes, target: bytes) -> None:
        """Takes a pair as `add` does, unless this method was given it before."""
        if (source, target) in self._of_catalogs:
            self.left_out[REPEATED] += 1
        else:
            self._of_catalogs.add((source, target))
            self.add(source, target)

    def summary(self) -> str:
        """Describes what is taken and left out, for people."""
        reasons = "; ".join(f"{reason}: {count:,}" for reason, count in sorted(self.left_out.items()))
        return f"{len(self.pairs):,} pair(s)" + (f"; left out: {reasons}" if reasons else "")
