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

    def fill(self, prompts: base.Vectors, lengths: tf.Tensor, room: shapes.Size) -> base.State:
        return {"keys": base.by_head(prompts.key, room), "values": base.by_head(prompts.value, room)}

    def step(self, state: base.State, token: base.Vectors, positions: tf.Tensor) -> tuple[tf.Tensor, base.State]:
        keys = base.put(state["keys"], token.key, positions)
        values = base.put(state["values"], token.value, positions)
        places, last = tf.range(shapes.sizes(keys)[2]), positions[:, None, None, None]
        visible = places < last if self.exclude_self else places <= last
        alone = token.value if self.exclude_self else None
        return base.attend(token.query, keys, values, visible, alone), {"keys": keys, "values": values}
