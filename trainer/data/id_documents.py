"""Documents of ids that people made: without text, without a boundary, and perhaps only some of them targets.

Shape letters: T ids of all documents together, D documents.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from trainer.data.stored_ids import StoredArray, StoredIds


@dataclasses.dataclass(frozen=True, eq=False)
class IdDocuments:
    """Documents of ids, one after another. The first id of a document has nothing before it, so it is no target.

    Attributes:
        ids: The ids, T of them.
        offsets: `[D + 1]` int64, position of each document's first id, and T.
        scored: `[T]` bool, which ids are targets: the first id of a stream is none in any case. None for all.

    Example:
        >>> documents = IdDocuments.from_arrays([[1, 2, 3], [4, 5]])
        >>> len(documents), documents.size
        (2, '5 ids')
    """

    ids: StoredIds
    offsets: np.ndarray
    scored: np.ndarray | None = None

    @classmethod
    def from_arrays(cls, documents: Iterable[Any], scored: Iterable[Any] | None = None) -> IdDocuments:
        """Makes documents of arrays in memory, or of memory-mapped ones, which are not copied.

        Args:
            documents: Integers `[n]` a document; the rows of one array `[D, n]` are documents, too.
            scored: For each document `[n]` bool, which of its ids are targets; None for all.

        Raises:
            ValueError: If an array is not one of integers with one axis and at least one entry, or `scored` does not
                fit the documents.
        """
        arrays = [np.asanyarray(document) for document in documents]
        for number, array in enumerate(arrays):
            if array.dtype.kind not in "iu" or array.ndim != 1 or not len(array):
                raise ValueError(
                    "`documents` must be arrays of integers with one axis and at least one entry. "
                    f"Received: document {number} with shape {array.shape} and dtype {array.dtype}"
                )
        sizes = [len(array) for array in arrays]
        stored = [StoredArray(array, f"document {number}") for number, array in enumerate(arrays)]
        targets = None
        if scored is not None:
            flags = [np.asarray(flag) for flag in scored]
            if [(flag.shape, flag.dtype) for flag in flags] != [((size,), np.dtype(bool)) for size in sizes]:
                raise ValueError(
                    "`scored` must hold a boolean for each id of each document. "
                    f"Received: {len(flags)} arrays for {len(sizes)} documents"
                )
            targets = np.concatenate([np.zeros(0, bool), *flags])
        return cls(StoredIds(stored), np.cumsum([0, *sizes], dtype=np.int64), targets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def size(self) -> str:
        """How much there is, for people."""
        return f"{len(self.ids):,} ids"

    @property
    def fingerprint(self) -> str:
        """Hexadecimal SHA-256 of ids, offsets and targets: the same for the same documents in any form of storage."""
        return self._read_once[0]

    def check(self, vocabulary_size: int, has_mask: bool = False) -> None:
        """Checks that all ids are those of a vocabulary.

        Args:
            vocabulary_size: The number of ids there are.
            has_mask: Whether the last of them hides others, so that no document has it.

        Raises:
            ValueError: If an id is negative or too large; the message says where the first one is.
        """
        _, smallest, largest = self._read_once
        count = vocabulary_size - has_mask
        if smallest >= 0 and largest < count:
            return
        position, value = self._first_outside(count)
        name, offset = self.ids.locate(position)
        document = int(np.searchsorted(self.offsets, position, side="right")) - 1
        because = f"`config.model.vocabulary_size` is {vocabulary_size}" + (", with the mask" if has_mask else "")
        raise ValueError(
            f"`config.data` must have ids from 0 to {count - 1}, as {because}. Received: id {value} in {name} at "
            f"offset {offset}, which is id {position - int(self.offsets[document])} of a document"
        )

    def _first_outside(self, vocabulary_size: int) -> tuple[int, int]:
        """Position and value of the first id that is outside of the vocabulary."""
        found = ((start, block, (block < 0) | (block >= vocabulary_size)) for start, block in self.ids.blocks())
        start, block, outside = next(entry for entry in found if entry[2].any())
        first = int(np.argmax(outside))
        return start + first, int(block[first])

    @functools.cached_property
    def _read_once(self) -> tuple[str, int, int]:
        """The fingerprint, the smallest and the largest id, in one pass over the ids."""
        digest, smallest, largest = hashlib.sha256(), 0, 0
        for _, block in self.ids.blocks():
            smallest, largest = min(smallest, int(block.min())), max(largest, int(block.max()))
            digest.update(np.ascontiguousarray(block.astype("<i4")).data)  # No vocabulary has larger ids.
        digest.update(np.ascontiguousarray(self.offsets.astype("<i8")).data)
        if self.scored is not None:
            digest.update(np.packbits(self.scored).data)
        return digest.hexdigest(), smallest, largest
