"""Cuts documents into training examples without losing a byte.

Shape letters: N examples, L sequence length, B batch.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import overload

import numpy as np
import tensorflow as tf

from trainer.data import id_slices, numbered_documents
from trainer.data.documents import Documents
from trainer.data.id_documents import IdDocuments

LAYOUTS = ("packed", "padded")
Example = tuple[np.ndarray, np.ndarray]  # ids [L + 1] int32, mask [L + 1] bool


class Examples(Sequence[Example]):
    """Training examples: slices of `sequence_length + 1` ids of documents. All ids but the first are targets.

    The examples are not stored: each is a slice of `documents.ids`. Consecutive examples of one stream overlap by one
    id, so that every id of a stream except its first (a boundary) is a target exactly once. Of documents that say which
    ids are targets, the others are only context. Where targets are not the next ids, there is no overlap: an example
    has `sequence_length` ids, and every id of a stream is in one.

    - `packed`: all documents, each after its boundary, make one stream. Only the last example can be short.
    - `padded`: each document is a stream of its own, so no example holds two documents. The last example of each
      can be short; documents without a byte have no example.

    A short example is padded at its end with ids that the mask leaves out.

    With `count`, there are only the first so many full examples, each with exactly `sequence_length` targets.

    With `length_buckets`, `gather` leaves out padding that no row of a batch needs. A batch has one of a few lengths,
    so that programs with static shapes are compiled only a few times.

    Args:
        documents: `Documents`, documents in the ids of a tokenizer, `IdDocuments`, or anything that yields `bytes`.
        sequence_length: L, the number of targets of a full example.
        layout: `"packed"` or `"padded"`.
        count: number of full examples; 0 for all examples, short ones too.
        length_buckets: shorter lengths that a batch of `padded` examples can be cut to, in targets and ascending.
        overlap: number of first ids of an example that are no targets: 1, or 0 where targets are not the next ids.

    Attributes:
        starts: `[N]` int64, position of each example's first id in `documents.ids`.
        sizes: `[N]` int64, number of ids of each example without padding: 1 to L, and the overlap.
        tokens: number of ids in all examples, without overlaps.
        target_bytes: number of bytes of the documents. The targets of all examples stand for so many bytes, as a
            boundary stands for none.
        notes: empty, as no target is left out.

    Raises:
        ValueError: if an argument is out of range or there is nothing to cut.

    Example:
        >>> examples = Examples([b"abcd", b"e"], sequence_length=4, layout="packed")
        >>> [ids.tolist() for ids, mask in examples]
        [[256, 97, 98, 99, 100], [100, 256, 101, 0, 0]]
    """

    notes: tuple[str, ...] = ()

    def __init__(
        self,
        documents: numbered_documents.Documents | Iterable[bytes],
        sequence_length: int,
        layout: str = "packed",
        count: int = 0,
        length_buckets: Sequence[int] = (),
        overlap: int = 1,
    ) -> None:
        id_slices.checked_length(sequence_length)
        if layout not in LAYOUTS:
            raise ValueError(f"layout must be one of {', '.join(LAYOUTS)}. Received: layout={layout!r}")
        if not isinstance(documents, numbered_documents.Documents):
            documents = Documents(documents)
        self.documents = documents
        if not isinstance(documents, IdDocuments) and not documents.num_bytes:
            raise ValueError(f"documents must hold at least one byte. Received: {len(documents)} documents")
        self.sequence_length = sequence_length
        self.layout = layout
        self.overlap = overlap
        lengths = id_slices.checked_buckets(length_buckets, sequence_length)
        if length_buckets and layout != "padded":
            raise ValueError(
                "length_buckets must be empty unless layout is 'padded'. "
                f"Received: length_buckets={length_buckets!r}, layout={layout!r}"
            )
        offsets = self.documents.offsets if layout == "padded" else self.documents.offsets[[0, -1]]
        spans = np.diff(offsets)
        targets = spans - overlap
        if not isinstance(documents, IdDocuments):
            targets = np.where(spans > 1, targets, 0)  # None where there is only a boundary.
        counts = -(-targets // sequence_length)
        first = np.repeat(np.cumsum(counts) - counts, counts)  # the first example of each example's stream
        within = (np.arange(counts.sum()) - first) * sequence_length
        starts = np.repeat(offsets[:-1], counts) + within
        sizes = np.minimum(np.repeat(targets, counts) - within, sequence_length) + overlap
        widths = [length + overlap for length in lengths]
        scored = documents.scored if isinstance(documents, IdDocuments) else None
        self._slices = id_slices.IdSlices(documents.ids, starts, sizes, widths, scored)
        if count:
            self._slices = self._slices.take(self._full(count))
        self.tokens = self._count_targets()
        if not self.tokens:
            raise ValueError(f"documents must hold at least one target. Received: {len(documents.ids):,} ids")
        self.target_bytes = 0 if isinstance(documents, IdDocuments) else documents.num_bytes

    @property
    def starts(self) -> np.ndarray:
        return self._slices.starts

    @property
    def sizes(self) -> np.ndarray:
        return self._slices.sizes

    def _full(self, count: int) -> np.ndarray:
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise ValueError(f"count must be an integer and not negative. Received: count={count!r}")
        full = np.flatnonzero(self.sizes == self.sequence_length + self.overlap)[:count]
        if len(full) < count:
            raise ValueError(
                f"documents must have at least {count} full examples of {self.sequence_length:,} targets each. "
                f"Received: {len(self.documents.ids):,} ids with {len(full)} such examples"
            )
        return full

    def spread(self, count: int) -> Examples:
        """Chooses examples at equal distances from the first on: always the same, from all parts of the documents.

        Args:
            count: number of examples; 0 for all.

        Returns:
            Examples of the same documents, each unchanged.
        """
        if not 0 < count < len(self):
            return self
        chosen = copy.copy(self)
        chosen._slices = self._slices.take(id_slices.spread(len(self), count))
        chosen.tokens = chosen._count_targets()
        return chosen

    def _count_targets(self) -> int:
        scored = self._slices.scored
        if scored is None:
            return int((self.sizes - self.overlap).sum())
        before = np.concatenate([np.zeros(1, np.int64), np.cumsum(scored)])
        return int((before[self.starts + self.sizes] - before[self.starts + self.overlap]).sum())

    def __len__(self) -> int:
        return len(self._slices)

    @overload
    def __getitem__(self, index: int) -> Example: ...

    @overload
    def __getitem__(self, index: slice) -> list[Example]: ...

    def __getitem__(self, index: int | slice) -> Example | list[Example]:
        """The example at `index`: (ids `[L + overlap]` int32, mask `[L + overlap]` bool)."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return self._slices[range(len(self))[index]]

    def gather(
        self, indices: tf.Tensor, among: tf.Tensor | None = None, draws: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, ...]:
        """Cuts a batch with TensorFlow ops. In a `tf.data` pipeline the ids are not copied.

        Args:
            indices: `[B]` int64; a negative index gives a row that is all masked.
            among: `[G]` int64, all examples of the global batch that these rows are a part of; by default `indices`.
                They decide the length, so that all parts have the same.
            draws: `[B]` uint64, 64 random bits for each row of a training step; None in an evaluation, whose rows are
                always the same. For examples that are changed at random; these here are not.

        Returns:
            ids `[B, L + overlap]` int32, mask `[B, L + overlap]` bool, and of documents that say which ids are targets
            also that, `[B, L + overlap]` bool. With length buckets, L is the smallest one that holds the longest row of
            the global batch, and is not static.
        """
        return self._slices.gather(indices, among)

    def starts_at(self, indices: tf.Tensor) -> tf.Tensor:
        """Looks up `starts` with TensorFlow ops; that of the first example for a negative index."""
        return self._slices.starts_at(indices)
