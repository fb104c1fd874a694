"""The cache of exact attention: all keys and values, by position."""

from typing import NamedTuple

import tensorflow as tf

from reformer_tf.ops import shapes
from reformer_tf.ops.caches import base


class FullCache(NamedTuple):
    """Keys and values of all positions; a step reads them all.

    Attributes:
        exclude_self: whether a token sees itself only when it sees nothing else.
    """

    exclude_self: bool

    def fill(self, prompts: base.Vectors, lengths: tf.Tensor, capacity: shapes.Size) -> base.State:
        return {"keys": base.by_head(prompts.key, capacity), "values": base.by_head(prompts.value, capacity)}

    def step(self, state: base.State, token: base.Vectors, indices: base.StepIndices) -> tuple[tf.Tensor, base.State]:
        heads = token.value.shape[2]
        rows, repeated = indices.rows(heads), indices.repeated(heads)
        keys = base.put(state["keys"], token.key, rows, repeated)
        values = base.put(state["values"], token.value, rows, repeated)
        position, last = tf.range(shapes.sizes(keys)[2]), indices.positions[:, None, None]
        visible = position < last if self.exclude_self else position <= last
        own_value = token.value if self.exclude_self else None
        return base.attend(token.query, keys, values, visible, own_value), {"keys": keys, "values": values}
