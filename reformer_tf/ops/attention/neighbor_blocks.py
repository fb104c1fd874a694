"""The blocks of a layout that a block of queries looks at; see `block_layout` for the shape letters."""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from reformer_tf.ops import shapes, sums


class NeighborBlocks(NamedTuple):
    """The blocks that a block of queries looks at.

    Attributes:
        shifts: of these blocks, relative to itself.
        before: how many blocks before its first a group needs.
        after: how many blocks after its last a group needs.
    """

    shifts: tuple[shapes.Size, ...]
    before: int
    after: int

    def cut(self, x: tf.Tensor, shift: shapes.Size) -> tf.Tensor:
        """Takes a group's blocks at a shift, `[G, N, C, ...]`, from `[before + G + after, N, C, ...]`."""
        return shapes.cut(x, self.before + shift, shapes.sizes(x)[0] - self.before - self.after)

    def fold(self, parts: Sequence[tf.Tensor]) -> tf.Tensor:
        """Sums gradients of the blocks at each shift, `[G, N, C, P]` each, to `[before + G + after, N, C, P]`."""
        rest = [[0, 0]] * 3
        padded = [
            tf.pad(part, [[self.before + shift, self.after - shift], *rest])
            for shift, part in zip(self.shifts, parts, strict=True)
        ]
        return sums.summed(padded)

    def pad_own(self, own: tf.Tensor) -> tf.Tensor:
        """Pads gradients of the group's own blocks with zeros for the blocks beside it."""
        return tf.pad(own, [[self.before, self.after], *([[0, 0]] * 3)])
