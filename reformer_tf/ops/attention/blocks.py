"""Blocks of C tokens in sorted order, and the blocks beside them that a window reaches.

The block axis comes first, `[K, N, C, ...]`: gathering into it costs no more than any other gather, groups of blocks of
all sequences are contiguous slices, and their results stack without a transposition.
"""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from reformer_tf.ops import shapes, sums
from reformer_tf.ops.attention import ordering
from reformer_tf.ops.attention.ordering import SortedOrder
from reformer_tf.ops.attention.windows import Window
from reformer_tf.ops.execution import budgets, compiled_functions


class Neighbors(NamedTuple):
    """The blocks that a block of queries looks at.

    On accelerators the blocks at all shifts are joined: a group has the rows of each block's whole window, `[G, N, W,
    ...]`. That copies rows which several blocks see, but a compiled program copies blocks at a shift in any case, one
    product of a block and its window reads and writes less than one for each shift, and an axis of W numbers fills the
    tiles of a TPU's memory better.

    Attributes:
        shifts: of these blocks, relative to itself.
        before: how many blocks before its first a group of G blocks needs.
        after: how many blocks after its last it needs.
        joined: whether the blocks at all shifts are joined.
    """

    shifts: tuple[shapes.Size, ...]
    before: int
    after: int
    joined: bool = False

    def cut(self, x: tf.Tensor, shift: shapes.Size) -> tf.Tensor:
        """Takes a group's blocks at a shift, `[G, N, C, ...]`, from `[before + G + after, N, C, ...]`."""
        return shapes.cut(x, self.before + shift, shapes.sizes(x)[0] - self.before - self.after)

    def seen(self, x: tf.Tensor) -> tf.Tensor:
        """What a group sees of `[before + G + after, N, C]`: all of it, or `[G, N, W]` if blocks are joined."""
        return tf.concat([self.cut(x, shift) for shift in self.shifts], axis=2) if self.joined else x

    def fold(self, parts: Sequence[tf.Tensor]) -> tf.Tensor:
        """Sums gradients of the blocks at each shift to `[before + G + after, N, C, P]`.

        Args:
            parts: `[G, N, C, P]` for each shift; or a single one `[G, N, W, P]` if blocks are joined.
        """
        rest = [[0, 0]] * 3
        if self.joined:
            parts = tf.split(parts[0], len(self.shifts), axis=2)
        padded = [
            tf.pad(part, [[self.before + shift, self.after - shift], *rest])
            for shift, part in zip(self.shifts, parts, strict=True)
        ]
        return sums.summed(padded)

    def pad_own(self, own: tf.Tensor) -> tf.Tensor:
        """Pads gradients of the group's own blocks with zeros for the blocks beside it."""
        return tf.pad(own, [[self.before, self.after], *([[0, 0]] * 3)])

    def split(self, x: tf.Tensor) -> list[tf.Tensor]:
        """Splits `[before + G + after, ...]` into the blocks before, in and after a group."""
        own = self.cut(x, 0)
        return [x[: self.before], own, x[self.before + shapes.sizes(own)[0] :]]


class Pass(NamedTuple):
    """One or several rounds that are computed together.

    Attributes:
        tokens: int32 `[before + K + after, N, C]`, for each slot of a block the position of its token, or -1.
        tags: how many of `Blocks.tags` tell which pairs count.
        back: for each round int32 `[B, L, H]`, the slot of each token, counted without the blocks beside the rounds.
    """

    tokens: tf.Tensor
    tags: int
    back: list[tf.Tensor]


class Blocks:
    """The arrangement of rounds in passes, of their tokens in blocks, and of the blocks in groups.

    A pass is one round, or all rounds together: one after another if blocks of one round see those of another
    (`Window.wrap`), or side by side if there is little work, so that there are fewer operations. A group is as many
    blocks as stay in the cache.

    Args:
        sizes: B, L and H.
        split: whether only operations between products are compiled, see `half_precision_group`.
        vector_bytes: of a row of keys or values, where groups have the rows of whole windows; 0 elsewhere.
        sorted_orders: of the B * H sequences, one for each round.
        window: what a query sees.
        tags: int32 `[B * H, L]` each, numbers of each token that stand before those of the window.

    Attributes:
        window: as above.
        length: L.
        compiled: whether it pays to compile the computation of a group; a boolean, or a boolean tensor.
        side_by_side: how many rounds are side by side, each a sequence of its own.
        count: N, the number of sequences: `side_by_side * B * H`.
        blocks: K, the blocks of a pass.
        neighbors: the blocks that a block looks at. Those beyond the ends are empty, or in a circle those of the other
            end.
        groups: how many groups there are.
        group: G, how many blocks a group has.
        first_rows: int32 `[N, 1]`, the row of each sequence's first token in tensors by position, `[B * L * H, ...]`;
            H rows on is the next.
        first_tag_rows: int32 `[N, 1]`, the row of its tags; the next row has those of the next token.
        tags: int32 `[N * L + 1, T]`; the last row is that of slots without a token.
        passes: the passes. Round r needs the first of the tags, up to its own.
    """

    def __init__(
        self,
        sizes: Sequence[shapes.Size],
        split: bool,
        vector_bytes: int,
        sorted_orders: Sequence[SortedOrder],
        window: Window,
        tags: Sequence[tf.Tensor],
    ):
        batch, self.length, self.heads = sizes
        self.window, self.sequences, rounds = window, batch * self.heads, len(sorted_orders)
        rows = self.sequences * self.length * len(window.shifts)
        pairs = rows * window.chunk_length
        # The largest tensors of a group: float32 logits, or keys and values of its windows.
        self._row_bytes = max(4 * window.chunk_length, vector_bytes)
        self.compiled = compiled_functions.worth_compiling(pairs * rounds if window.wrap else pairs)
        self.side_by_side = rounds if self._is_little_work(rows, rounds) else 1
        self.count = self.side_by_side * self.sequences
        multiple = window.length_multiple
        self.blocks_a_round = shapes.ceil_div(self.length, multiple) * (multiple // window.chunk_length)
        self.blocks = rounds * self.blocks_a_round if window.wrap else self.blocks_a_round
        self.neighbors = self._neighbors()
        self.groups, self.group = self._groups(split)
        sequence = tf.range(self.sequences)
        first = sequence // self.heads * (self.length * self.heads) + sequence % self.heads
        self.first_rows = self.for_rounds(first)[:, None]
        self.first_tag_rows = (tf.range(self.count) * self.length)[:, None]
        of_window = window.tags(sorted_orders)
        self.tags = self._stacked(tags, of_window)
        number = len(tags) + len(of_window)
        if window.wrap or self.side_by_side > 1:
            self.passes = [self._pass(sorted_orders, number)]
        else:
            each = enumerate(sorted_orders)
            self.passes = [self._pass([x], min(len(tags) + index + 1, number)) for index, x in each]

    def for_rounds(self, x: tf.Tensor) -> tf.Tensor:
        """Repeats a tensor of all B * H sequences for each of the rounds side by side."""
        return x if self.side_by_side == 1 else tf.concat([x] * self.side_by_side, axis=0)

    def _is_little_work(self, rows: shapes.Size, rounds: int) -> bool:
        if self.window.wrap or rounds == 1 or self.compiled is not False or not shapes.known([rows]):
            return False
        return self._row_bytes * rows * rounds <= budgets.current().ungrouped_bytes

    def _neighbors(self) -> Neighbors:
        shifts = self.window.shifts
        before, after = max(0, -min(shifts)), max(0, max(shifts))
        if self.window.wrap:
            # In the authors' released code, a shift beyond all blocks is none. A shift of one never is.
            shifts = [shapes.where(abs(x) <= 1 or abs(x) <= self.blocks, x, 0) for x in shifts]
        return Neighbors(tuple(shifts), before, after, budgets.on_accelerator())

    def _groups(self, split: bool) -> tuple[shapes.Size, shapes.Size]:
        """The number of groups, and the number of blocks in each."""
        budget, neighbors = budgets.current(), self.neighbors
        block_bytes = self.count * self.window.chunk_length * len(neighbors.shifts) * self._row_bytes
        known = shapes.known([self.blocks, block_bytes])
        if known and self.blocks * block_bytes <= budget.ungrouped_bytes and not self.compiled:
            return 1, max(self.blocks, 1)
        most_bytes = budget.group_bytes
        if self.compiled is not False and not split:
            most_bytes = min(most_bytes, budget.compiled_group_bytes)
        # Gradients of the blocks beside a group must fall on the neighbouring groups only.
        least = max(neighbors.before, neighbors.after, 1)
        blocks = shapes.maximum(self.blocks, 1)
        most = shapes.minimum(most_bytes // shapes.maximum(block_bytes, 1), shapes.maximum(blocks, least))
        most = shapes.maximum(most, least)
        groups = shapes.ceil_div(blocks, most)
        equal = shapes.maximum(shapes.ceil_div(blocks, groups), least)
        # Equal groups waste least, but their size follows the length, and each size would have to be compiled.
        return groups, equal if isinstance(self.compiled, bool) else tf.where(self.compiled, most, equal)

    def _stacked(self, tags: Sequence[tf.Tensor], of_window: Sequence[tf.Tensor]) -> tf.Tensor:
        of_sequences = [[*tags, *of_window]]
        if self.side_by_side > 1:
            # In the rounds before that others have and this one has not, a token meets nobody.
            nowhere = tf.fill(tf.shape(of_window[0]), ordering.NOWHERE)
            of_rounds = [of_window[: number + 1] for number in range(self.side_by_side)]
            of_sequences = [[*tags, *[nowhere] * (len(of_window) - len(own)), *own] for own in of_rounds]
        without_token = tf.fill([1, len(of_sequences[0])], ordering.NOWHERE)
        return tf.concat([*(shapes.flat(tf.stack(x, axis=-1), 2) for x in of_sequences), without_token], axis=0)

    def _pass(self, sorted_orders: Sequence[SortedOrder], tags: int) -> Pass:
        chunk_length, beside = self.window.chunk_length, self.side_by_side > 1
        missing = self.blocks_a_round * chunk_length - self.length
        tokens = [tf.pad(x.tokens, [[0, 0], [0, missing]], constant_values=-1) for x in sorted_orders]
        tokens = tf.reshape(tf.concat(tokens, axis=0 if beside else 1), [self.count, self.blocks, chunk_length])
        back = []
        for number, sorted_order in enumerate(sorted_orders):
            block, among = sorted_order.ranks // chunk_length, tf.range(self.sequences)[:, None]
            if beside:
                among += number * self.sequences
            else:
                block += number * self.blocks_a_round
            slot = (block * self.count + among) * chunk_length + sorted_order.ranks % chunk_length
            back.append(shapes.by_position(slot, self.heads))
        return Pass(self._with_blocks_beside(tf.transpose(tokens, [1, 0, 2])), tags, back)

    def _with_blocks_beside(self, tokens: tf.Tensor) -> tf.Tensor:
        """`[blocks, N, C]` to `[before + K + after, N, C]`, K the blocks of all groups together."""
        total, (_, before, after, _) = self.groups * self.group, self.neighbors
        if not self.window.wrap:
            return tf.pad(tokens, [[before, total + after - self.blocks], [0, 0], [0, 0]], constant_values=-1)
        block = tf.range(-before, total + after)
        circle = tf.gather(tokens, block % self.blocks)
        return tf.where((block < self.blocks + after)[:, None, None], circle, -1)

    def own_tags(self, own: tf.Tensor, first: shapes.Size) -> tf.Tensor:
        """The tags `own` of a group's own blocks, the first of which is block `first`, where these are queries."""
        if not self.window.wrap:
            return own
        # The last group of a circle may have copies of the first blocks among its own: they are only keys.
        block = first + tf.range(self.group)
        return tf.where((block < self.blocks)[:, None, None, None], own, ordering.NOWHERE)

    def add_up(self, before: tf.Tensor, own: tf.Tensor, after: tf.Tensor) -> tf.Tensor:
        """Adds what groups `[groups, ..., N, C, P]` have for the blocks beside them to these blocks, `[K, N, C, P]`."""
        _, reach_before, reach_after, _ = self.neighbors
        several = own.shape[0] != 1
        if reach_before and several:
            later = tf.concat([before[1:], tf.zeros_like(before[:1])], axis=0)
            cut = self.group - reach_before
            own = tf.concat([own[:, :cut], own[:, cut:] + later], axis=1)
        if reach_after and several:
            earlier = tf.concat([tf.zeros_like(after[:1]), after[:-1]], axis=0)
            own = tf.concat([own[:, :reach_after] + earlier, own[:, reach_after:]], axis=1)
        own = shapes.flat(own, 2)
        if not self.window.wrap:
            return own
        total = self.groups * self.group
        complete = tf.concat([before[0], own, after[-1]], axis=0)
        for block in [*range(-reach_before, 0), *(self.blocks + i for i in range(reach_after))]:
            target = block % self.blocks
            around = [[target, total - 1 - target], [0, 0], [0, 0], [0, 0]]
            own += tf.pad(shapes.cut(complete, reach_before + block, 1), around)
        return own
