"""A corpus: documents to train on and documents to validate on."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Collection, Mapping, Sequence, Sized
from typing import Any, Protocol


class Part(Sized, Protocol):
    """Documents of any kind: one part of a corpus."""

    @property
    def fingerprint(self) -> str:
        """Equal exactly when the documents are the same in the same order."""

    @property
    def size(self) -> str:
        """How much there is, for people."""


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Documents in two parts.

    Attributes:
        name: description for people, with the version where there is one.
        train: the documents to train on, a `Part` of the kind that the task takes.
        validation: the documents to validate on, of the same kind.
        notes: sentences for people about what was taken and left out, and how the two parts were chosen.
    """

    name: str
    train: Any
    validation: Any
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Scored:
    """Documents to score a model on.

    Attributes:
        name: description for people.
        documents: the documents, a `Part`.
        is_validation: whether they are the validation documents of a corpus, and not all of it.
        notes: sentences for people, as in a corpus.
    """

    name: str
    documents: Any
    is_validation: bool
    notes: tuple[str, ...] = ()


def validation_part(corpus: Corpus) -> Scored:
    """Returns the validation documents of a corpus, to score a model on."""
    return Scored(f"the validation documents of {corpus.name}", corpus.validation, True, corpus.notes)


def chosen_path(config: Mapping[str, Any], overrides: Collection[str], own: Collection[str]) -> str:
    """Returns the field that names all that is to be scored: `path`, `validation_path`, or neither.

    Args:
        config: `config.data`.
        overrides: names of the fields that were set anew, instead of the run's.
        own: names of the fields that decide what a path gives.

    Raises:
        ValueError: if both paths were set anew.
    """
    if {"path", "validation_path"} <= {*overrides}:
        raise ValueError(
            "config.data.path and config.data.validation_path must not both be given to say what is scored. "
            f"Received: {config['path']!r} and {config['validation_path']!r}"
        )
    if {"validation_fraction", "validation_rule"} & {*overrides}:
        return ""
    if config["validation_path"] and ("validation_path" in overrides or not {"name", "path"} & {*overrides}):
        return "validation_path"
    return "path" if {*own} & {*overrides} else ""


def sorted_by_hash(names: Sequence[str]) -> list[int]:
    """Sorts names by their SHA-256 and returns their indices: always the same sequence, which means nothing."""
    digests = [hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest() for name in names]
    return sorted(range(len(names)), key=lambda i: (digests[i], i))


def choose_validation(names: Sequence[str], sizes: Sequence[int], fraction: float) -> set[int]:
    """Chooses whole documents for validation, the same ones every time.

    Documents are taken in the sequence of `sorted_by_hash`, without those that would exceed `fraction` of the bytes,
    until nine tenths of that are reached. If none fits, the smallest is taken. Each part has at least one document.
    Where a few documents hold most bytes, the chosen ones are all small: see `validation` for another rule.

    Args:
        names: a name for each document.
        sizes: bytes of each document; at least two documents.
        fraction: the part of all bytes to choose, between 0 and 1.

    Returns:
        The indices of the chosen documents.
    """
    if len(sizes) < 2:
        raise ValueError(f"sizes must hold at least two documents. Received: {len(sizes)}")
    limit = fraction * sum(sizes)
    by_hash = sorted_by_hash(names)
    chosen: set[int] = set()
    taken = 0
    for index in by_hash:
        if taken >= 0.9 * limit:
            break
        if taken + sizes[index] <= limit and len(chosen) < len(names) - 1:
            chosen.add(index)
            taken += sizes[index]
    return chosen or {min(by_hash, key=lambda i: sizes[i])}
