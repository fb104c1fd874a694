"""Groups of an attention layer's heads, which are computed one group at a time."""

from collections.abc import Callable

import tensorflow as tf

from reformer_tf.layers.attention.projections import HeadProjections, Heads
from reformer_tf.ops import shapes
from reformer_tf.ops.execution import budgets, loops
from reformer_tf.ops.execution.sequence_slices import SequenceSlices, SliceArray


class HeadGroups:
    """Groups of heads, with as many heads in each as a memory budget allows.

    Args:
        attention: the layer.
        slices: of the tokens that attend.
        length: of the longest sequence with vectors of heads.
    """

    def __init__(self, attention: HeadProjections, slices: SequenceSlices, length: shapes.Size):
        self.slices = slices
        self.total = attention.num_heads
        tokens = slices.batch * length
        divisors = [n for n in range(1, self.total + 1) if self.total % n == 0]
        most = budgets.current().heads_bytes // (4 * attention.key_dim) // shapes.maximum(tokens, 1)
        if shapes.known([most]):
            self.size = max(n for n in divisors if n <= max(most, 1))
        else:
            # With a single head, the size is an integer, and sliced tensors keep their static shape.
            self.size = tf.reduce_max(tf.where(divisors <= most, divisors, 1)) if self.total > 1 else 1
        self.count = self.total // self.size
        self.is_single = shapes.is_one(self.count)

    def heads(self, group: tf.Tensor) -> Heads:
        return Heads(group * self.size, self.size)

    def each(self, body: Callable[[shapes.Size, list], list], state: list) -> list:
        """Runs `state = body(group, state)` over the groups."""
        return loops.count_up(self.count, body, state)

    def buckets(self, rounds: int, after: tf.Tensor) -> SliceArray:
        """Makes an array for the buckets `[B, h, R, L]` of each group; `after` as in `loops.array`."""
        return loops.array(tf.int32, self.count, [self.slices.batch, self.size, rounds, self.slices.length], after)

    def joined(self, buckets: SliceArray) -> tf.Tensor:
        """Joins the buckets of all groups to `[B, H, R, L]`."""
        if self.is_single:
            return buckets.read(0)
        stacked = tf.transpose(buckets.stack(), [1, 0, 2, 3, 4])
        batch, _, _, rounds, length = shapes.sizes(stacked)
        return tf.reshape(stacked, [batch, self.total, rounds, length])


def select_heads(buckets: tf.Tensor, heads: Heads) -> tf.Tensor:
    """Takes the buckets of some heads from `[B, H, R, L]`."""
    batch, _, rounds, length = shapes.sizes(buckets)
    return tf.slice(buckets, tf.stack([0, heads.first, 0, 0]), tf.stack([batch, heads.count, rounds, length]))
