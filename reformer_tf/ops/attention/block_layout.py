"""Lays tokens out in blocks of a sorted order, and computes groups of blocks small enough to stay in cache.

The layout puts the block axis first, `[K, N, C, ...]`: gathering into it costs no more than any other gather, groups of
blocks of all sequences are contiguous slices, and their results stack without a transposition.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from reformer_tf.ops import shapes
from reformer_tf.ops.attention.neighbor_blocks import NeighborBlocks
from reformer_tf.ops.attention.ordering import SortedOrder
from reformer_tf.ops.execution import budgets, loops


def is_ungrouped(pairs: shapes.Size) -> bool:
    """Whether this many logits need no loop over groups; False if their number is a tensor."""
    return isinstance(pairs, int) and 4 * pairs <= budgets.current().ungrouped_bytes


class LayoutIndices(NamedTuple):
    """The indices that gather tokens of some rounds into the slots of a layout, and back.

    Attributes:
        row: int32 `[before + K + after, N, C]`, for each slot the row of its token in `[B * L * H, ...]`.
        round_row: the same for sources that have such rows for each round side by side.
        inside: boolean of that shape, whether a slot has a token.
        back: for each round int32 `[B, L, H]`, the slot of each token, counted without the blocks beside the rounds.
    """

    row: tf.Tensor
    round_row: tf.Tensor
    inside: tf.Tensor
    back: list[tf.Tensor]


class Source(NamedTuple):
    """A tensor that groups of blocks gather their rows from, so that it is never laid out as a whole.

    Attributes:
        rows: `[B * L * H, ...]`; or `[R * B * L * H, ...]`, see `per_round`.
        fill: the value in slots without a token; any finite value if None.
        own_fill: in a circle, the value in copies of blocks, which are only keys; or None.
        per_round: whether there are rows for each of the rounds side by side.
    """

    rows: tf.Tensor
    fill: float | None = None
    own_fill: float | None = None
    per_round: bool = False


class Layout:
    """Rounds one after another in blocks of C slots: queries of a block see the keys of the blocks at some shifts.

    Tensors by position are `[B, L, H, ...]`; a sequence is one head of one row, so there are N = B * H. Rounds side by
    side count as separate sequences: then N = R * B * H.

    Args:
        rows: B.
        length: L.
        heads: H.
        chunk_length: C, the length of a block.
        shifts: the blocks that a block looks at, relative to itself. With `wrap`, a shift beyond the number of all
            blocks counts as 0, as it does in the authors' released code.
        rounds: how many rounds are laid out one after another.
        side_by_side: how many rounds are laid out side by side, so that blocks of different rounds are not neighbours.
        length_multiple: a multiple of C; a round's length is rounded up to a multiple of it. C if None.
        wrap: whether the blocks beside one end are those of the other end. Otherwise they are empty.
        compiled: whether the computation of a group is compiled for its shape; a boolean, or a boolean tensor.
        split: whether only operations between products are, see `reformer_tf.ops.attention.half_precision_group`.
    """

    def __init__(
        self,
        rows: shapes.Size,
        length: shapes.Size,
        heads: shapes.Size,
        chunk_length: int,
        shifts: Sequence[int],
        rounds: int = 1,
        side_by_side: int = 1,
        length_multiple: int | None = None,
        wrap: bool = False,
        compiled: Any = False,
        split: bool = False,
    ):
        self.length, self.heads = length, heads
        self.sequences, self.side_by_side = rows * heads, side_by_side
        self.count = side_by_side * self.sequences
        self.block = chunk_length
        multiple = length_multiple or chunk_length
        self.blocks_a_round = shapes.ceil_div(length, multiple) * (multiple // chunk_length)
        self.blocks = rounds * self.blocks_a_round
        self.wrap = wrap
        self.before = max(0, -min(shifts))
        self.after = max(0, max(shifts))
        self.neighbors = NeighborBlocks(tuple(self._within_blocks(shift) for shift in shifts), self.before, self.after)
        self.groups, self.group = self._groups(self.blocks, compiled, split)

    def _within_blocks(self, shift: int) -> shapes.Size:
        if not self.wrap:
            return shift
        if isinstance(self.blocks, int):
            return shift if abs(shift) <= self.blocks else 0
        # There are at least as many blocks as rounds, so a shift of one, the usual case, needs no check.
        return shift if abs(shift) <= 1 else tf.where(abs(shift) <= self.blocks, shift, 0)

    def _groups(self, blocks: shapes.Size, compiled: Any, split: bool) -> tuple[shapes.Size, shapes.Size]:
        """The number of groups, and the number of blocks in each."""
        block_bytes = 4 * self.count * self.block * self.block * len(self.neighbors.shifts)
        # Gradients of the blocks beside a group must fall on the neighbouring groups only.
        least = max(self.before, self.after, 1)
        budget = budgets.current()
        group_bytes = budget.group_bytes
        if compiled is not False and not split:
            group_bytes = min(group_bytes, budget.compiled_group_bytes)
        if isinstance(blocks, int) and isinstance(block_bytes, int):
            if blocks * block_bytes <= budget.ungrouped_bytes and not compiled:
                return 1, max(blocks, 1)
            groups = shapes.ceil_div(blocks, min(max(group_bytes // block_bytes, least), blocks))
            return groups, max(shapes.ceil_div(blocks, groups), least)
        blocks = tf.maximum(blocks, 1)
        group = tf.clip_by_value(group_bytes // tf.maximum(block_bytes, 1), least, tf.maximum(blocks, least))
        groups = shapes.ceil_div(blocks, group)
        equal = tf.maximum(shapes.ceil_div(blocks, groups), least)
        # Equal groups waste least, but their size follows the length, and each size would have to be compiled.
        return groups, equal if compiled is False else tf.where(compiled, group, equal)

    def indices(self, sorted_orders: Sequence[SortedOrder]) -> LayoutIndices:
        """Computes the indices of the tokens of the rounds."""
        missing = self.blocks_a_round * self.block - self.length
        beside = self.side_by_side > 1
        rounds = [
            tf.pad(sorted_order.tokens, [[0, 0], [0, missing]], constant_values=-1) for sorted_order in sorted_orders
        ]
        tokens = tf.reshape(tf.concat(rounds, axis=0 if beside else 1), [self.count, self.blocks, self.block])
        tokens = self._with_blocks_beside(tf.transpose(tokens, [1, 0, 2]))
        sequence = tf.range(self.sequences)
        start = sequence // self.heads * (self.length * self.heads) + sequence % self.heads
        if beside:
            start = tf.tile(start, [self.side_by_side])
        # A slot without a token repeats the first token of its own sequence: finite if that sequence is.
        row = round_row = tf.maximum(tokens, 0) * self.heads + start[:, None]
        if beside:
            rows = self.sequences * self.length
            round_row += (tf.range(self.count) // self.sequences * rows)[:, None]
        back = []
        for number, sorted_order in enumerate(sorted_orders):
            block, among = sorted_order.ranks // self.block, sequence[:, None]
            if beside:
                among += number * self.sequences
            else:
                block += number * self.blocks_a_round
            slot = (block * self.count + among) * self.block + sorted_order.ranks % self.block
            back.append(shapes.by_position(slot, self.heads))
        return LayoutIndices(row, round_row, tokens >= 0, back)

    def _with_blocks_beside(self, tokens: tf.Tensor) -> tf.Tensor:
        """`[blocks, N, C]` to `[before + K + after, N, C]`, K the blocks of all groups together."""
        total = self.groups * self.group
        if not self.wrap:
            around = [[self.before, total + self.after - self.blocks], [0, 0], [0, 0]]
            return tf.pad(tokens, around, constant_values=-1)
        block = tf.range(-self.before, total + self.after)
        circle = tf.gather(tokens, block % self.blocks)
        return tf.where((block < self.blocks + self.after)[:, None, None], circle, -1)

    def _gathered(self, source: Source, indices: LayoutIndices, start: shapes.Size, length: shapes.Size) -> tf.Tensor:
        """Gathers the rows of some blocks, `[length, N, C, ...]`; block 0 is the first beside the first group."""
        index = indices.round_row if source.per_round else indices.row
        result = tf.gather(source.rows, shapes.cut(index, start, length))
        for fill, inside in self._fills(source, indices, start, length):
            inside = tf.reshape(inside, [*shapes.sizes(inside), *(1 for _ in result.shape[inside.shape.rank :])])
            result = tf.where(inside, result, tf.constant(fill, result.dtype))
        return result

    def _fills(
        self, source: Source, indices: LayoutIndices, start: shapes.Size, length: shapes.Size
    ) -> list[tuple[float, tf.Tensor]]:
        fills = []
        if source.fill is not None:
            fills.append((source.fill, shapes.cut(indices.inside, start, length)))
        if source.own_fill is not None and self.wrap:
            # In a circle, the last group may have copies of the first blocks among its own.
            block = start - self.before + tf.range(length)
            fills.append((source.own_fill, tf.logical_and(block >= 0, block < self.blocks)))
        return fills

    def unsort(self, x: tf.Tensor, indices: LayoutIndices) -> list[tf.Tensor]:
        """Gathers `[K, N, C, ...]` back to positions, `[B, L, H, ...]` for each round."""
        flat = shapes.flat(x, 3)
        return [tf.gather(flat, back) for back in indices.back]

    def over_groups(
        self,
        body: Callable[[list[tf.Tensor], list[tf.Tensor]], list[tf.Tensor]],
        indices: LayoutIndices,
        own: Sequence[Source],
        seen: Sequence[Source],
        widths: Sequence[tuple[tf.DType, list[int]]],
        folded: Sequence[int] = (),
    ) -> list[tf.Tensor]:
        """Applies `body` to each group of blocks.

        Args:
            body: maps the group's own blocks `[G, N, C, ...]` of `own`, and all blocks of `seen` that these look at,
                `[before + G + after, N, C, ...]` (see `NeighborBlocks.cut`), to results `[G, N, C, ...]`.
            indices: of the tokens.
            own: sources of the queries.
            seen: sources of the keys that they look at. A source may be in both.
            widths: dtype of each result, and its sizes after `[K, N, C]`.
            folded: indices of results that come as `[before + G + after, N, C, ...]`, from `NeighborBlocks`; their
                parts for blocks beside a group are added to these blocks' own groups.

        Returns:
            The results `[K, N, C, ...]`.
        """
        around = self.before + self.group + self.after

        def group(first: shapes.Size) -> list[tf.Tensor]:
            wide = {id(x): self._gathered(x, indices, first, around) for x in seen}

            def own_rows(source: Source) -> tf.Tensor:
                if id(source) in wide:
                    return self.neighbors.cut(wide[id(source)], 0)
                return self._gathered(source, indices, first + self.before, self.group)

            return body([own_rows(x) for x in own], [wide[id(x)] for x in seen])

        if isinstance(self.groups, int) and self.groups == 1:
            results = group(0)
            return [
                self._joined(*(y[None] for y in self._apart(x))) if i in folded else x for i, x in enumerate(results)
            ]

        def array(dtype: tf.DType, blocks: shapes.Size, rest: list[int]) -> tf.TensorArray:
            sizes = [x if isinstance(x, int) else None for x in (blocks, self.count, self.block)]
            return loops.array(dtype, self.groups, [*sizes, *rest], own[0].rows)

        arrays = [
            [
                array(dtype, blocks, rest)
                for blocks in ((self.before, self.group, self.after) if i in folded else [self.group])
            ]
            for i, (dtype, rest) in enumerate(widths)
        ]

        def step(index: tf.Tensor, state: list[list[tf.TensorArray]]) -> list[list[tf.TensorArray]]:
            results = group(index * self.group)
            parts = [self._apart(x) if i in folded else [x] for i, x in enumerate(results)]
            return [
                [a.write(index, y) for a, y in zip(some, part, strict=True)]
                for some, part in zip(state, parts, strict=True)
            ]

        arrays = loops.count_up(self.groups, step, arrays, parallel_iterations=2)
        return [
            self._joined(*(a.stack() for a in some)) if i in folded else shapes.flat(some[0].stack(), 2)
            for i, some in enumerate(arrays)
        ]

    def _apart(self, x: tf.Tensor) -> list[tf.Tensor]:
        """Splits `[before + G + after, ...]` into the blocks before, in and after a group."""
        return [x[: self.before], self.neighbors.cut(x, 0), x[self.before + self.group :]]

    def _joined(self, before: tf.Tensor, own: tf.Tensor, after: tf.Tensor) -> tf.Tensor:
        """Adds the parts of groups `[T, ..., N, C, P]` for blocks beside them to these blocks.

        Returns:
            `[K, N, C, P]`.
        """
        several = own.shape[0] != 1
        if self.before and several:
            later = tf.concat([before[1:], tf.zeros_like(before[:1])], axis=0)
            cut = self.group - self.before
            own = tf.concat([own[:, :cut], own[:, cut:] + later], axis=1)
        if self.after and several:
            earlier = tf.concat([tf.zeros_like(after[:1]), after[:-1]], axis=0)
            own = tf.concat([own[:, : self.after] + earlier, own[:, self.after :]], axis=1)
        own = shapes.flat(own, 2)
        if not self.wrap:
            return own
        total = self.groups * self.group
        complete = tf.concat([before[0], own, after[-1]], axis=0)
        for block in [*range(-self.before, 0), *(self.blocks + i for i in range(self.after))]:
            target = block % self.blocks
            around = [[target, total - 1 - target], [0, 0], [0, 0], [0, 0]]
            own += tf.pad(shapes.cut(complete, self.before + block, 1), around)
        return own
