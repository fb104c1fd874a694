"""Slices of one long array of ids, cut into batches of padded rows by TensorFlow ops.

Shape letters: N slices, T ids of the array, B rows of a batch, W ids of a row with padding.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from trainer.data.stored_ids import StoredIds

PAD = 0
"""Id where the mask is False; any id would do."""


class IdSlices:
    """Slices of an array of ids. In a batch each is padded at its end with ids that the mask leaves out.

    Args:
        ids: `[T]` integers, or ids that stay where they are.
        starts: `[N]` int64, position of each slice's first id.
        sizes: `[N]` int64, number of ids of each slice, at most the largest width.
        widths: Numbers of ids that a row may have with padding, ascending. The rows of a batch have the smallest that
            holds the longest of them.
        scored: `[T]` bool, a flag for each id; None for no flags.

    Example:
        >>> slices = IdSlices(np.arange(10), np.array([0, 4]), np.array([4, 1]), widths=(4,))
        >>> slices[1]
        (array([4, 0, 0, 0], dtype=int32), array([ True, False, False, False]))
    """

    def __init__(
        self,
        ids: np.ndarray | StoredIds,
        starts: np.ndarray,
        sizes: np.ndarray,
        widths: Sequence[int],
        scored: np.ndarray | None = None,
    ):
        self.ids = ids
        self.starts = starts
        self.sizes = sizes
        self.widths = tuple(widths)
        self.scored = scored

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """The slice at `index`: (ids `[W]` int32, mask `[W]` bool), W the largest width."""
        start, size, width = int(self.starts[index]), int(self.sizes[index]), self.widths[-1]
        ids, stop = np.full(width, PAD, np.int32), start + size
        ids[:size] = self.ids.read(start, stop) if isinstance(self.ids, StoredIds) else self.ids[start:stop]
        return ids, np.arange(width) < size

    def take(self, indices: np.ndarray) -> IdSlices:
        """Chooses some of the slices."""
        return IdSlices(self.ids, self.starts[indices], self.sizes[indices], self.widths, self.scored)

    def bucket(self, indices: tf.Tensor) -> tf.Tensor:
        """The index of the smallest width that holds the longest of some slices, int64 scalar.

        Args:
            indices: `[G]` int64; negative ones do not count.
        """
        widths = tf.constant(self.widths, tf.int64)
        return tf.searchsorted(widths, tf.reduce_max(self._sizes_at(indices))[None], out_type=tf.int64)[0]

    def gather(
        self, indices: tf.Tensor, among: tf.Tensor | None = None, bucket: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, ...]:
        """Cuts a batch with TensorFlow ops. In a `tf.data` pipeline the ids are not copied.

        Args:
            indices: `[B]` int64; a negative index gives a row that is all masked.
            among: `[G]` int64, all slices of the global batch that these rows are a part of; by default `indices`.
                They decide the width, so that all parts have the same.
            bucket: the index of the width, by default the `bucket` of `among`.

        Returns:
            ids `[B, W]` int32, mask `[B, W]` bool, and if there are flags, those, `[B, W]` bool, False where the mask
            is. W is static if there is one width only.
        """
        ids, scored, *_ = self._tensors
        size = self._sizes_at(indices)
        if len(self.widths) == 1:
            width = self.widths[0]  # A plain number, for a static shape.
        else:
            bucket = self.bucket(indices if among is None else among) if bucket is None else bucket
            width = tf.constant(self.widths, tf.int64)[bucket]
        span, first = tf.range(width, dtype=tf.int64)[None, :], self.starts_at(indices)
        mask = span < size[:, None]
        positions = tf.where(mask, first[:, None] + span, 0)
        if isinstance(self.ids, StoredIds):
            read = tf.numpy_function(self.ids.read_rows, [first, size, width], tf.int32, stateful=False)
            rows = tf.ensure_shape(read, mask.shape)
        else:
            rows = tf.where(mask, tf.cast(tf.gather(ids, positions), tf.int32), PAD)
        return (rows, mask) if scored is None else (rows, mask, mask & tf.gather(scored, positions))

    def starts_at(self, indices: tf.Tensor) -> tf.Tensor:
        """Looks up `starts` with TensorFlow ops; that of the first slice for a negative index."""
        return tf.gather(self._tensors[2], tf.maximum(indices, 0))

    def _sizes_at(self, indices: tf.Tensor) -> tf.Tensor:
        """Number of ids of each slice without padding; 0 for a negative index."""
        sizes = tf.gather(self._tensors[3], tf.maximum(indices, 0))
        return tf.where(indices < 0, tf.zeros_like(sizes), sizes)

    @functools.cached_property
    def _tensors(self) -> tuple[tf.Tensor | None, ...]:
        """The ids and flags, as far as they are in memory; the starts and sizes."""
        ids = None if isinstance(self.ids, StoredIds) else self.ids[: int((self.starts + self.sizes).max())]
        with tf.init_scope(), tf.device("CPU:0"):
            found = (ids, self.scored, self.starts, self.sizes)
            return tuple(None if array is None else tf.convert_to_tensor(array) for array in found)


def spread(number: int, count: int) -> np.ndarray:
    """Chooses `count` of `number` indices at equal distances, from the first on."""
    return np.arange(count) * number // count


def checked_length(sequence_length: int, name: str = "sequence_length") -> int:
    """Returns the length of a full example, an argument called `name`.

    Raises:
        ValueError: If it is no positive integer.
    """
    if isinstance(sequence_length, bool) or not isinstance(sequence_length, int) or sequence_length < 1:
        raise ValueError(f"{name} must be a positive integer. Received: {sequence_length!r}")
    return sequence_length


def checked_buckets(length_buckets: Sequence[int], sequence_length: int) -> tuple[int, ...]:
    """Returns the lengths that a batch may be cut to, with the full one.

    Raises:
        ValueError: If they are not positive integers in ascending order, or one is above `sequence_length`.
    """
    buckets = (0, *length_buckets)
    integers = all(isinstance(bucket, int) and not isinstance(bucket, bool) for bucket in buckets)
    if not integers or any(low >= high for low, high in itertools.pairwise(buckets)) or buckets[-1] > sequence_length:
        raise ValueError(
            "length_buckets must be positive integers in ascending order, none above sequence_length, "
            f"{sequence_length}. Received: length_buckets={length_buckets!r}"
        )
    return tuple(sorted({*length_buckets, sequence_length}))
