"""Lays tokens out in the blocks of one order, and walks over groups of blocks small enough to stay in cache.

The layout puts the block axis first, `[K, N, C, ...]`: gathering into it costs no more than any other gather, groups of
blocks of all sequences are contiguous slices, and their results stack without a transposition.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from reformer_tf.ops import loops, shapes
from reformer_tf.ops.ordering import Order

# Bytes of fp32 logits that one group may hold, and those below which there is no loop at all. Measured on CPU: groups
# that fit the cache are fastest, much smaller ones pay for their operations' fixed cost.
GROUP_BYTES = 4 * 2**20
UNGROUPED_BYTES = 20 * 2**20


class Places(NamedTuple):
    """Where the tokens of one order are in a layout.

    Attributes:
        index: int32 `[before + K + after, N, C]`, the flat index of the token at each place.
        inside: boolean of that shape, whether a place has a token.
        back: int32 `[N, L]`, the flat index of each token's place, blocks beside the sequence left out.
    """

    index: tf.Tensor
    inside: tf.Tensor
    back: tf.Tensor


class Layout:
    """Blocks of C tokens: queries of a block see the keys of that block and of the blocks beside it.

    Args:
        count: N, the number of sequences.
        length: L, their length.
        chunk_length: C, the length of a block and the reach of a window.
        causal: whether the window has entries before the query only.
    """

    def __init__(self, count: shapes.Size, length: shapes.Size, chunk_length: int, causal: bool):
        self.count, self.length = count, length
        self.block = chunk_length
        self.before = 1 if chunk_length > 1 else 0
        self.after = 0 if causal else self.before
        self.groups, self.group = self._groups(shapes.ceil_div(length, chunk_length))

    def _groups(self, blocks: shapes.Size) -> tuple[shapes.Size, shapes.Size]:
        """The number of groups, and the number of blocks in each."""
        block_bytes = 4 * self.count * self.block * self.block * (1 + self.before + self.after)
        if isinstance(blocks, int) and isinstance(block_bytes, int):
            if blocks * block_bytes <= UNGROUPED_BYTES:
                return 1, max(blocks, 1)
            groups = shapes.ceil_div(blocks, min(max(GROUP_BYTES // block_bytes, 1), blocks))
            return groups, shapes.ceil_div(blocks, groups)
        blocks = tf.maximum(blocks, 1)
        group = tf.clip_by_value(GROUP_BYTES // tf.maximum(block_bytes, 1), 1, blocks)
        groups = shapes.ceil_div(blocks, group)
        return groups, shapes.ceil_div(blocks, groups)

    def place(self, order: Order) -> Places:
        """Returns where the tokens of an order go."""
        total = self.groups * self.group
        front, back = self.before * self.block, (total + self.after) * self.block - self.length
        padded = tf.pad(order.tokens, [[0, 0], [front, back]], constant_values=-1)
        padded = tf.transpose(tf.reshape(padded, [self.count, self.before + total + self.after, self.block]), [1, 0, 2])
        # A place without a token repeats the first token of its own sequence: finite wherever that sequence is.
        index = tf.maximum(padded, 0) + (tf.range(self.count) * self.length)[:, None]
        rows = tf.range(self.count)[:, None] * self.block
        blocks, rest = order.ranks // self.block, order.ranks % self.block
        return Places(index, padded >= 0, blocks * (self.count * self.block) + rows + rest)

    def sort(self, x: tf.Tensor, places: Places, fill: int | None = None) -> tf.Tensor:
        """Gathers `[N, L, ...]` into the layout `[before + K + after, N, C, ...]`.

        Args:
            x: by position.
            places: of the order.
            fill: the value of places without a token; by default anything finite.
        """
        result = tf.gather(_flat(x, 2), places.index)
        if fill is None:
            return result
        inside = places.inside
        for _ in range(x.shape.rank - 2):
            inside = inside[..., None]
        return tf.where(inside, result, tf.constant(fill, result.dtype))

    def unsort(self, x: tf.Tensor, places: Places) -> tf.Tensor:
        """Gathers `[K, N, C, ...]` back to positions, `[N, L, ...]`: the inverse of `sort`."""
        return tf.gather(_flat(x, 3), places.back)

    def queries_and_keys(self, rows: Sequence[tf.Tensor]) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """Cuts the slices of one group into blocks of queries, and the first two of them into windows of keys.

        Args:
            rows: `[before + G + after, N, C, ...]` each.

        Returns:
            Queries `[G, N, C, ...]`, and windows `[G, N, W, ...]` of the first two.
        """
        queries = [x[self.before : self.before + self.group] for x in rows]
        if self.before + self.after == 0:
            return queries, queries[:2]
        shifts = range(1 + self.before + self.after)
        return queries, [tf.concat([x[i : i + self.group] for i in shifts], axis=2) for x in rows[:2]]

    def fold(self, windows: tf.Tensor) -> tf.Tensor:
        """Sums windows `[G, N, W, P]` onto the blocks they were cut from, `[before + G + after, N, C, P]`."""
        beside = self.before + self.after
        parts = tf.split(windows, 1 + beside, axis=2)
        return tf.add_n([tf.pad(part, [[i, beside - i], [0, 0], [0, 0], [0, 0]]) for i, part in enumerate(parts)])

    def over_groups(
        self,
        body: Callable[[list[tf.Tensor]], list[tf.Tensor]],
        sources: Sequence[tf.Tensor],
        widths: Sequence[tuple[tf.DType, list[int]]],
        folded: Sequence[int] = (),
    ) -> list[tf.Tensor]:
        """Applies `body` to each group of blocks.

        Args:
            body: maps slices `[before + G + after, N, C, ...]` of the sources to results `[G, N, C, ...]`.
            sources: tensors in the layout of `sort`.
            widths: dtype of each result, and its sizes after `[K, N, C]`.
            folded: which results come from `fold`; what falls on blocks beside a group is added to their own group.

        Returns:
            The results `[K, N, C, ...]`.
        """
        if isinstance(self.groups, int) and self.groups == 1:
            results = body(list(sources))
            return [x[self.before : self.before + self.group] if i in folded else x for i, x in enumerate(results)]
        slice_length = self.before + self.group + self.after

        def step(index: tf.Tensor, arrays: list[tf.TensorArray]) -> list[tf.TensorArray]:
            results = body([_slice(x, index * self.group, slice_length) for x in sources])
            return [a.write(index, x) for a, x in zip(arrays, results, strict=True)]

        static = [x if isinstance(x, int) else None for x in (self.count, self.block)]
        arrays = [
            tf.TensorArray(dtype, size=self.groups, element_shape=[None, *static, *rest]) for dtype, rest in widths
        ]
        arrays = loops.count_up(self.groups, step, arrays, parallel_iterations=2)
        stacked = [a.stack() for a in arrays]
        stacked = [self._join(x) if i in folded else x for i, x in enumerate(stacked)]
        return [_flat(x, 2) for x in stacked]

    def _join(self, x: tf.Tensor) -> tf.Tensor:
        """Adds what groups `[T, before + G + after, N, C, P]` put on blocks beside them to the groups of those."""
        own = x[:, self.before : self.before + self.group]
        rest = [[0, 0]] * 3
        if self.before:
            own += tf.pad(x[1:, : self.before], [[0, 1], [self.group - self.before, 0], *rest])
        if self.after:
            own += tf.pad(x[:-1, self.before + self.group :], [[1, 0], [0, self.group - self.after], *rest])
        return own


def _flat(x: tf.Tensor, axes: int) -> tf.Tensor:
    """Merges the first axes into one."""
    rest = shapes.sizes(x)[axes:]
    return tf.reshape(x, [-1, *rest])


def _slice(x: tf.Tensor, start: tf.Tensor, length: shapes.Size) -> tf.Tensor:
    """`x[start : start + length]`, with a static size where there is one (XLA needs it)."""
    result = tf.slice(
        x, tf.stack([start, *([0] * (x.shape.rank - 1))]), tf.stack([length, *([-1] * (x.shape.rank - 1))])
    )
    return tf.ensure_shape(result, [length if isinstance(length, int) else None, *x.shape[1:]])
