"""Ids that stay where they are, such as in memory-mapped files: read by blocks and by examples, never as a whole.

Shape letters: T ids of all arrays together, B rows of a batch, W ids of a row.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

_BLOCK = 1 << 22  # Ids that are read at a time.


@dataclasses.dataclass(frozen=True)
class StoredArray:
    """Ids that lie one after another in a file, or in memory.

    Attributes:
        ids: `[n]` integers, perhaps a view of a memory-mapped file.
        name: What holds them, for messages.
        first: Offset of the first of them in what holds them, in ids.
    """

    ids: np.ndarray
    name: str
    first: int = 0

    def cut(self, start: int, stop: int) -> StoredArray:
        """Returns some of the ids, without a copy."""
        return StoredArray(self.ids[start:stop], self.name, self.first + start)


class StoredIds:
    """The ids of several arrays as one sequence.

    Args:
        arrays: The arrays.

    Example:
        >>> from trainer.data.stored_ids import StoredArray
        >>> stored = StoredIds([StoredArray(np.arange(3), "a.npy"), StoredArray(np.arange(5), "b.npy")])
        >>> len(stored), stored.read(2, 5).tolist(), stored.locate(4)
        (8, [2, 0, 1], ('b.npy', 1))
    """

    def __init__(self, arrays: Sequence[StoredArray]) -> None:
        self.arrays = tuple(array for array in arrays if len(array.ids))
        self._starts = np.cumsum([0, *(len(array.ids) for array in self.arrays)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def cut(self, start: int, stop: int) -> list[StoredArray]:
        """Returns the arrays of the ids from `start` to `stop`, without a copy."""
        found = []
        while start < stop:
            index, offset = self._find(start)
            part = self.arrays[index].cut(offset, offset + stop - start)
            found.append(part)
            start += len(part.ids)
        return found

    def read(self, start: int, stop: int) -> np.ndarray:
        """Reads the ids from `start` to `stop` into memory, `[stop - start]` int32."""
        parts = [np.asarray(array.ids).astype(np.int32) for array in self.cut(start, stop)]
        return parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, np.int32), *parts])

    def read_rows(self, starts: np.ndarray, sizes: np.ndarray, width: int) -> np.ndarray:
        """Reads the rows of a batch.

        Args:
            starts: `[B]`, position of the first id of each row.
            sizes: `[B]`, number of ids of each row, at most `width`.
            width: W.

        Returns:
            `[B, W]` int32, with zeros after the ids of a row.
        """
        rows = np.zeros((len(starts), width), np.int32)
        for row, start, size in zip(rows, starts.tolist(), sizes.tolist(), strict=True):
            row[:size] = self.read(start, start + size)
        return rows

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yields all ids in blocks of the arrays' own types, each with the position of its first id."""
        for start, array in zip(self._starts.tolist(), self.arrays, strict=False):
            for offset in range(0, len(array.ids), _BLOCK):
                yield start + offset, np.asarray(array.ids[offset : offset + _BLOCK])

    def locate(self, position: int) -> tuple[str, int]:
        """Finds what holds an id: its name, and the offset of the id there."""
        index, offset = self._find(position)
        return self.arrays[index].name, self.arrays[index].first + offset

    def _find(self, position: int) -> tuple[int, int]:
        """Index of the array that has a position, and the offset within it."""
        index = int(np.searchsorted(self._starts, position, side="right")) - 1
        return index, position - int(self._starts[index])
