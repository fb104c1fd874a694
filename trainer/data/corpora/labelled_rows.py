"""Labelled texts as they were read, before their labels are numbered."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Callable, Sequence

import numpy as np

from trainer.data.corpora import labelled_split
from trainer.data.documents import Documents
from trainer.data.labelled_documents import LabelledDocuments

_INTEGER = re.compile(r"[+-]?\d{1,100}")  # Python refuses to read some thousands of digits.


@dataclasses.dataclass(frozen=True)
class LabelledRows:
    """Texts with the names of their labels.

    Attributes:
        texts: The texts.
        pairs: The second texts; None for single ones.
        labels: Name of each text's label.
        where: Where a row was read, in words, from its index.
    """

    texts: list[bytes]
    pairs: list[bytes] | None
    labels: list[str]
    where: Callable[[int], str]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Sequence[int]) -> LabelledRows:
        """Chooses some of the rows."""
        pairs = None if self.pairs is None else [self.pairs[i] for i in indices]
        texts, labels = [self.texts[i] for i in indices], [self.labels[i] for i in indices]
        return LabelledRows(texts, pairs, labels, lambda index: self.where(indices[index]))

    def names(self) -> tuple[str, ...]:
        """The different labels, sorted: integers by their value, else as strings."""
        found = {*self.labels}
        if all(_INTEGER.fullmatch(name) for name in found):
            return tuple(sorted(found, key=lambda name: (int(name), name)))
        return tuple(sorted(found))

    def numbered(self, names: Sequence[str]) -> LabelledDocuments:
        """Numbers the labels.

        Args:
            names: The labels in the order of their numbers.

        Raises:
            ValueError: If a row has another label.
        """
        numbers = {name: number for number, name in enumerate(names)}
        for index, label in enumerate(self.labels):
            if label not in numbers:
                raise ValueError(
                    "Labels must be those of config.data.labels or, without, of the training part: "
                    f"{', '.join(map(repr, names))}. Received: {label!r} in {self.where(index)}"
                )
        labels = np.array([numbers[label] for label in self.labels], np.int32)
        pairs = None if self.pairs is None else Documents(self.pairs)
        return LabelledDocuments(Documents(self.texts), labels, tuple(names), pairs)

    def split(self, fraction: float) -> tuple[LabelledRows, LabelledRows]:
        """Takes a fraction of each label's rows to validate on, always the same ones.

        Equal texts stay together, see `labelled_split.choose`.

        Args:
            fraction: Between 0 and 1.

        Returns:
            The rows to train on and those to validate on, in the order of these rows.
        """
        chosen = labelled_split.choose([*map(self._digest, range(len(self)))], self.labels, fraction)
        taken = {*chosen}
        return self.take([i for i in range(len(self)) if i not in taken]), self.take(chosen)

    def _digest(self, index: int) -> bytes:
        digest = hashlib.sha256(self.texts[index])
        if self.pairs is not None:
            digest.update(b"\0" + self.pairs[index])
        return digest.digest()
