"""Lays tokens out in the blocks of one order, and walks over groups of blocks small enough to stay in cache.

The layout puts the block axis first, `[K, N, C, ...]`: gathering into it costs no more than any other gather, groups of
blocks of all sequences are contiguous slices, and their results stack without a transposition.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from reformer_tf.ops import loops, shapes
from reformer_tf.ops.ordering import Order

# Bytes of fp32 logits that one group may hold, and those below which there is no loop at all. Measured on CPU: groups
# that fit the cache are fastest, much smaller ones pay for their operations' fixed cost.
GROUP_BYTES = 4 * 2**20
UNGROUPED_BYTES = 20 * 2**20
# The same for compiled groups, whose few operations' fixed cost is small.
COMPILED_GROUP_BYTES = 2**20


class Places(NamedTuple):
    """Where the tokens of some rounds are in a layout.

    Attributes:
        index: int32 `[before + K + after, N, C]`, the flat index of the token at each place.
        inside: boolean of that shape, whether a place has a token.
        back: for each round int32 `[N, L]`, the flat index of each token's place, blocks beside the rounds left out.
    """

    index: tf.Tensor
    inside: tf.Tensor
    back: list[tf.Tensor]


class Reach(NamedTuple):
    """Which blocks a block looks at.

    Attributes:
        shifts: of these blocks, relative to itself.
        before: how many blocks before its first a group needs.
        after: how many blocks after its last a group needs.
    """

    shifts: tuple[shapes.Size, ...]
    before: int
    after: int

    def fold(self, parts: Sequence[tf.Tensor]) -> tf.Tensor:
        """Sums what falls on the blocks at each shift, `[G, N, C, P]` each, to `[before + G + after, N, C, P]`."""
        rest = [[0, 0]] * 3
        padded = [
            tf.pad(part, [[self.before + shift, self.after - shift], *rest])
            for shift, part in zip(self.shifts, parts, strict=True)
        ]
        return functools.reduce(tf.add, padded)

    def alone(self, own: tf.Tensor) -> tf.Tensor:
        """What falls on the group's own blocks, with zeros on those beside it."""
        return tf.pad(own, [[self.before, self.after], *([[0, 0]] * 3)])


class Layout:
    """Rounds one after another in blocks of C tokens: queries of a block see the keys of the blocks at some shifts.

    Args:
        count: N, the number of sequences.
        length: L, their length.
        chunk_length: C, the length of a block.
        shifts: the blocks that a block looks at, relative to itself. With `wrap`, a shift beyond the number of all
            blocks counts as 0, as it does in the authors' released code.
        rounds: how many rounds are laid out together.
        length_multiple: to what a round's length is rounded up, a multiple of C; C if None.
        wrap: whether blocks beside the ends are those of the other end. Otherwise they are empty.
        compiled: whether the work of a group is compiled for its shape; a boolean, or a boolean tensor.
    """

    def __init__(
        self,
        count: shapes.Size,
        length: shapes.Size,
        chunk_length: int,
        shifts: Sequence[int],
        rounds: int = 1,
        length_multiple: int | None = None,
        wrap: bool = False,
        compiled: Any = False,
    ):
        self.count, self.length = count, length
        self.block = chunk_length
        multiple = length_multiple or chunk_length
        self.blocks_a_round = shapes.ceil_div(length, multiple) * (multiple // chunk_length)
        self.blocks = rounds * self.blocks_a_round
        self.wrap = wrap
        self.before = max(0, -min(shifts))
        self.after = max(0, max(shifts))
        self.reach = Reach(tuple(self._within_blocks(shift) for shift in shifts), self.before, self.after)
        self.groups, self.group = self._groups(self.blocks, compiled)

    def _within_blocks(self, shift: int) -> shapes.Size:
        if not self.wrap:
            return shift
        if isinstance(self.blocks, int):
            return shift if abs(shift) <= self.blocks else 0
        # There are at least as many blocks as rounds, and mostly a shift is one.
        return shift if abs(shift) <= 1 else tf.where(abs(shift) <= self.blocks, shift, 0)

    def _groups(self, blocks: shapes.Size, compiled: Any) -> tuple[shapes.Size, shapes.Size]:
        """The number of groups, and the number of blocks in each."""
        block_bytes = 4 * self.count * self.block * self.block * len(self.reach.shifts)
        # What a group puts beside itself falls on its neighbours, no farther.
        least = max(self.before, self.after, 1)
        group_bytes = GROUP_BYTES if compiled is False else min(GROUP_BYTES, COMPILED_GROUP_BYTES)
        if isinstance(blocks, int) and isinstance(block_bytes, int):
            if blocks * block_bytes <= UNGROUPED_BYTES and not compiled:
                return 1, max(blocks, 1)
            groups = shapes.ceil_div(blocks, min(max(group_bytes // block_bytes, least), blocks))
            return groups, max(shapes.ceil_div(blocks, groups), least)
        blocks = tf.maximum(blocks, 1)
        group = tf.clip_by_value(group_bytes // tf.maximum(block_bytes, 1), least, tf.maximum(blocks, least))
        groups = shapes.ceil_div(blocks, group)
        equal = tf.maximum(shapes.ceil_div(blocks, groups), least)
        # Equal groups waste least; but their size follows the length, and each size would have to be compiled.
        return groups, equal if compiled is False else tf.where(compiled, group, equal)

    def place(self, orders: Sequence[Order]) -> Places:
        """Returns where the tokens of the rounds go."""
        missing = self.blocks_a_round * self.block - self.length
        rounds = [tf.pad(order.tokens, [[0, 0], [0, missing]], constant_values=-1) for order in orders]
        tokens = tf.reshape(tf.concat(rounds, axis=1), [self.count, self.blocks, self.block])
        tokens = self._with_blocks_beside(tf.transpose(tokens, [1, 0, 2]))
        # A place without a token repeats the first token of its own sequence: finite wherever that sequence is.
        index = tf.maximum(tokens, 0) + (tf.range(self.count) * self.length)[:, None]
        rows = tf.range(self.count)[:, None] * self.block
        back = []
        for number, order in enumerate(orders):
            block = order.ranks // self.block + number * self.blocks_a_round
            back.append(block * (self.count * self.block) + rows + order.ranks % self.block)
        return Places(index, tokens >= 0, back)

    def _with_blocks_beside(self, tokens: tf.Tensor) -> tf.Tensor:
        """`[blocks, N, C]` to `[before + K + after, N, C]`, K the blocks of all groups together."""
        total = self.groups * self.group
        if not self.wrap:
            around = [[self.before, total + self.after - self.blocks], [0, 0], [0, 0]]
            return tf.pad(tokens, around, constant_values=-1)
        block = tf.range(-self.before, total + self.after)
        circle = tf.gather(tokens, block % self.blocks)
        return tf.where((block < self.blocks + self.after)[:, None, None], circle, -1)

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

    def only_own(self, x: tf.Tensor, fill: float) -> tf.Tensor:
        """Replaces copies of blocks in `[before + K + after, N, C, ...]`.

        In a circle, copies of its first blocks may stand where the last group has queries; they are keys only.
        """
        if not self.wrap:
            return x
        block = tf.range(-self.before, self.groups * self.group + self.after)
        inside = tf.logical_and(block >= 0, block < self.blocks)
        inside = tf.reshape(inside, tf.concat([[-1], tf.ones([x.shape.rank - 1], tf.int32)], axis=0))
        return tf.where(inside, x, tf.constant(fill, x.dtype))

    def unsort(self, x: tf.Tensor, places: Places) -> list[tf.Tensor]:
        """Gathers `[K, N, C, ...]` back to positions, `[N, L, ...]` for each round: the inverse of `sort`."""
        flat = _flat(x, 3)
        return [tf.gather(flat, back) for back in places.back]

    def over_groups(
        self,
        body: Callable[[list[tf.Tensor], list[list[tf.Tensor]]], list[tf.Tensor]],
        own: Sequence[tf.Tensor],
        seen: Sequence[tf.Tensor],
        widths: Sequence[tuple[tf.DType, list[int]]],
        folded: Sequence[int] = (),
    ) -> list[tf.Tensor]:
        """Applies `body` to each group of blocks.

        Args:
            body: maps the group's own blocks `[G, N, C, ...]` of `own`, and for each shift the blocks there of `seen`,
                to results `[G, N, C, ...]`.
            own: tensors in the layout of `sort`.
            seen: tensors in the layout of `sort`.
            widths: dtype of each result, and its sizes after `[K, N, C]`.
            folded: which results come as `[before + G + after, N, C, ...]`, from `Reach`; what falls on blocks beside a
                group is added to their own group.

        Returns:
            The results `[K, N, C, ...]`.
        """

        def group(first: shapes.Size) -> list[tf.Tensor]:
            def cut(sources: Sequence[tf.Tensor], shift: shapes.Size) -> list[tf.Tensor]:
                return [_slice(x, first + self.before + shift, self.group) for x in sources]

            return body(cut(own, 0), [cut(seen, shift) for shift in self.reach.shifts])

        if isinstance(self.groups, int) and self.groups == 1:
            return [self._join(x[None]) if i in folded else x for i, x in enumerate(group(0))]

        def step(index: tf.Tensor, arrays: list[tf.TensorArray]) -> list[tf.TensorArray]:
            return [a.write(index, x) for a, x in zip(arrays, group(index * self.group), strict=True)]

        static = [x if isinstance(x, int) else None for x in (self.count, self.block)]
        arrays = [
            tf.TensorArray(dtype, size=self.groups, element_shape=[None, *static, *rest]) for dtype, rest in widths
        ]
        arrays = loops.count_up(self.groups, step, arrays, parallel_iterations=2)
        stacked = [a.stack() for a in arrays]
        return [self._join(x) if i in folded else _flat(x, 2) for i, x in enumerate(stacked)]

    def _join(self, x: tf.Tensor) -> tf.Tensor:
        """Adds what groups `[T, before + G + after, N, C, P]` put on blocks beside them where those blocks are.

        Returns:
            `[K, N, C, P]`.
        """
        own = x[:, self.before : self.before + self.group]
        rest = [[0, 0]] * 3
        if self.before and x.shape[0] != 1:
            own += tf.pad(x[1:, : self.before], [[0, 1], [self.group - self.before, 0], *rest])
        if self.after and x.shape[0] != 1:
            own += tf.pad(x[:-1, self.before + self.group :], [[1, 0], [0, self.group - self.after], *rest])
        own = _flat(own, 2)
        if not self.wrap:
            return own
        total = self.groups * self.group
        complete = tf.concat([x[0, : self.before], own, x[-1, self.before + self.group :]], axis=0)
        for block in [*range(-self.before, 0), *(self.blocks + i for i in range(self.after))]:
            target = block % self.blocks
            own += tf.pad(_slice(complete, self.before + block, 1), [[target, total - 1 - target], *rest])
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
