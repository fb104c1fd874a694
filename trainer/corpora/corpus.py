"""A corpus: documents to train on, documents to validate on, and the rule that parts them."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence

from trainer.text import Documents


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Documents in two parts.

    Attributes:
        name: what it is, for people; records the version where there is one.
        train: the documents to train on.
        validation: the documents to validate on.
    """

    name: str
    train: Documents
    validation: Documents


def choose_validation(names: Sequence[str], sizes: Sequence[int], fraction: float) -> set[int]:
    """Chooses whole documents for validation, the same ones every time.

    Documents are taken in the order of the SHA-256 of their names (so in no order that means anything), leaving out
    those that would go beyond `fraction` of the bytes, until nine tenths of that are reached. If none fits, the
    smallest is taken. There is always one on either side.

    Args:
        names: a name for each document.
        sizes: its bytes; at least two documents.
        fraction: the part of all bytes to choose, between 0 and 1.

    Returns:
        The indices of the chosen documents.
    """
    if len(sizes) < 2:
        raise ValueError(f"sizes must hold at least two documents. Received: {len(sizes)}")
    limit = fraction * sum(sizes)
    order = sorted(
        range(len(names)), key=lambda i: (hashlib.sha256(names[i].encode("utf-8", "surrogateescape")).digest(), i)
    )
    chosen: set[int] = set()
    taken = 0
    for index in order:
        if taken >= 0.9 * limit:
            break
        if taken + sizes[index] <= limit and len(chosen) < len(names) - 1:
            chosen.add(index)
            taken += sizes[index]
    return chosen or {min(order, key=lambda i: sizes[i])}


def split_documents(name: str, names: Sequence[str], documents: Sequence[bytes], fraction: float) -> Corpus:
    """Makes a corpus of at least two documents, parted by `choose_validation`, in the order given."""
    chosen = choose_validation(names, [len(document) for document in documents], fraction)
    return Corpus(
        name=name,
        train=Documents(document for i, document in enumerate(documents) if i not in chosen),
        validation=Documents(document for i, document in enumerate(documents) if i in chosen),
    )
