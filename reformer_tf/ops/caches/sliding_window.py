"""The cache of a sliding window: the last keys and values, in a ring buffer."""

from typing import NamedTuple

import tensorflow as tf

from reformer_tf.ops import shapes
from reformer_tf.ops.caches import base
from reformer_tf.ops.execution import in_place


class SlidingWindowCache(NamedTuple):
    """Keys and values of the last C positions, position p in slot p mod C: memory of O(C) for any length.

    Attributes:
        window: C, how many tokens a token sees, itself among them.
        exclude_self: whether a token sees itself only when it sees nothing else.
    """

    window: int
    exclude_self: bool

    def fill(self, prompts: base.Vectors, lengths: tf.Tensor, capacity: shapes.Size) -> base.State:
        last = lengths[:, None] - 1
        # The last position of each slot. For slots without one yet it is 0, whose copy no query looks at.
        positions = tf.maximum(last - (last - tf.range(self.window)) % self.window, 0)

        def ring(x: tf.Tensor) -> tf.Tensor:
            return tf.transpose(tf.gather(x, positions, batch_dims=1), [0, 2, 1, 3])

        return {"keys": ring(prompts.key), "values": ring(prompts.value)}

    def step(self, state: base.State, token: base.Vectors, indices: base.StepIndices) -> tuple[tf.Tensor, base.State]:
        heads = token.value.shape[2]
        rows, repeated = indices.rows(heads), indices.repeated(heads) % self.window
        keys = base.put(state["keys"], token.key, rows, repeated)
        values = base.put(state["values"], token.value, rows, repeated)
        slot, last = tf.range(self.window), indices.positions[:, None, None]
        visible = slot <= last  # Before the ring is full, only slots up to the last position are taken.
        if self.exclude_self:
            visible = tf.logical_and(visible, slot != last % self.window)
        own_value = token.value if self.exclude_self else None
        output = base.attend(token.query, keys, values, visible, own_value)
        return output, {name: in_place.after(output, x) for name, x in (("keys", keys), ("values", values))}
