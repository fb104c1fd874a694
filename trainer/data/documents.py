"""Text as ids: 0 to 255 are the bytes, 256 is the boundary put before each document.

Shape letters: T ids of all documents together, D documents.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

import numpy as np

BOUNDARY = 256
VOCABULARY_SIZE = 257

_BLOCK = 1 << 22  # ids counted at a time, so that counting needs little memory


class Documents(Sequence[bytes]):
    """Byte documents in one compact array of ids, in which each document follows its boundary.

    Behaves as a sequence of `bytes`. Two bytes of memory a byte of text, whatever the number of documents.

    Args:
        documents: the documents, each as `bytes`. An empty one is a boundary with nothing after it.

    Attributes:
        ids: `[T]` uint16, the boundary and the bytes of document 0, then those of document 1, ...
        offsets: `[D + 1]` int64, position of each document's boundary in `ids`, and T.

    Raises:
        ValueError: if an entry is not `bytes`.

    Example:
        >>> documents = Documents([b"ab", b"c"])
        >>> documents.ids.tolist()
        [256, 97, 98, 256, 99]
        >>> documents[1]
        b'c'
    """

    def __init__(self, documents: Iterable[bytes]) -> None:
        entries = list(documents)
        for entry in entries:
            if not isinstance(entry, bytes):
                raise ValueError(f"documents must hold bytes. Received: an entry of type {type(entry).__name__}")
        sizes = np.fromiter((len(entry) + 1 for entry in entries), np.int64, len(entries))
        self.offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
        self.ids = np.empty(int(self.offsets[-1]), np.uint16)
        for entry, start, end in zip(entries, self.offsets[:-1], self.offsets[1:], strict=True):
            self.ids[start] = BOUNDARY
            self.ids[start + 1 : end] = np.frombuffer(entry, np.uint8)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, index: int) -> bytes: ...

    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...

    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        """The document at `index`, without its boundary."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        position = range(len(self))[index]
        return self.ids[self.offsets[position] + 1 : self.offsets[position + 1]].astype(np.uint8).tobytes()

    @property
    def num_bytes(self) -> int:
        """Bytes of all documents together, boundaries not counted."""
        return len(self.ids) - len(self)

    @property
    def size(self) -> str:
        """How much there is, for people."""
        return f"{self.num_bytes:,} bytes"

    @functools.cached_property
    def fingerprint(self) -> str:
        """Hexadecimal SHA-256 of the documents: equal exactly when they are the same bytes in the same order."""
        return hashlib.sha256(np.ascontiguousarray(self.ids.astype("<u2", copy=False)).data).hexdigest()


def byte_entropy(documents: Iterable[bytes], order: int = 0) -> float:
    """Computes the empirical entropy of bytes: the length of the best fixed code for exactly these documents.

    Args:
        documents: the documents.
        order: 0 counts bytes on their own; 1 counts each byte given the byte before it, or the boundary for the first
            byte of a document.

    Returns:
        Bits per byte.

    Raises:
        ValueError: if the order is not 0 or 1, or if there is no byte.

    Example:
        >>> byte_entropy([b"abab"], order=0)
        1.0
    """
    if order not in (0, 1):
        raise ValueError(f"order must be 0 or 1. Received: order={order!r}")
    documents = documents if isinstance(documents, Documents) else Documents(documents)
    if not documents.num_bytes:
        raise ValueError("documents must hold at least one byte. Received: no byte")
    counts = np.zeros((VOCABULARY_SIZE, VOCABULARY_SIZE), np.int64)  # [id before, id]
    for before, current in _pairs(documents.ids):
        codes = before.astype(np.int64) * VOCABULARY_SIZE + current
        counts += np.bincount(codes, minlength=counts.size).reshape(counts.shape)
    counts = counts[:, :BOUNDARY]  # only bytes are coded
    if order == 0:
        counts = counts.sum(axis=0, keepdims=True)
    total = counts.sum()
    contexts = np.broadcast_to(counts.sum(axis=1, keepdims=True), counts.shape)
    seen = counts > 0
    return float((counts[seen] * np.log2(contexts[seen] / counts[seen])).sum() / total)


def _pairs(ids: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields (ids before, ids) in blocks that together cover every id except the first, which is a boundary."""
    for start in range(0, len(ids) - 1, _BLOCK):
        end = min(start + _BLOCK, len(ids) - 1)
        yield ids[start:end], ids[start + 1 : end + 1]
