"""Pairs of texts: a source and the target that a model learns to make of it, such as its translation.

Shape letter: D pairs.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable

from trainer.data.documents import Documents


class PairDocuments:
    """Pairs of byte documents.

    Args:
        sources: D documents.
        targets: As many: target d belongs to source d.

    Raises:
        ValueError: If they are no `Documents`, or their numbers differ.

    Example:
        >>> pairs = PairDocuments.from_pairs([(b"good day", b"guten Tag"), (b"thanks", b"danke")])
        >>> pairs.size
        '2 pairs of 14 bytes and 14 bytes'
        >>> pairs.targets[1]
        b'danke'
    """

    def __init__(self, sources: Documents, targets: Documents):
        for name, documents in (("sources", sources), ("targets", targets)):
            if not isinstance(documents, Documents):
                raise ValueError(f"{name} must be `Documents`. Received: a {type(documents).__name__}")
        if len(sources) != len(targets):
            raise ValueError(
                f"targets must be one for each source. Received: {len(targets)} for {len(sources)} source(s)"
            )
        self.sources = sources
        self.targets = targets

    @classmethod
    def from_pairs(cls, pairs: Iterable[tuple[bytes, bytes]]) -> PairDocuments:
        """Makes them of (source, target)."""
        pairs = list(pairs)
        return cls(Documents(source for source, _ in pairs), Documents(target for _, target in pairs))

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def size(self) -> str:
        """How much there is, for people."""
        return f"{len(self):,} pairs of {self.sources.size} and {self.targets.size}"

    @functools.cached_property
    def fingerprint(self) -> str:
        """Hexadecimal SHA-256: equal exactly when sources and targets are the same in the same order."""
        parts = (self.sources.fingerprint, self.targets.fingerprint)
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()
