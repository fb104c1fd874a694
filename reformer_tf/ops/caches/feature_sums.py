"""The cache of attention by features: sums over all tokens so far, of a size that never grows."""

from typing import NamedTuple

import tensorflow as tf

from reformer_tf.ops import shapes
from reformer_tf.ops.attention import feature_attention, feature_sums, feature_totals
from reformer_tf.ops.attention.feature_sums import Sums
from reformer_tf.ops.attention.features import FEATURE_MAPS
from reformer_tf.ops.caches import base


class FeatureSumsCache(NamedTuple):
    """For each head the largest log-feature of the keys, and the sums of features times [value, 1], in float32.

    Attributes:
        features: a name of `features.FEATURE_MAPS`.
        rows: of the features, `[r, D]`, or None.
    """

    features: str
    rows: tf.Tensor | None

    def fill(self, prompts: base.Vectors, lengths: tf.Tensor, capacity: shapes.Size) -> base.State:
        counts = tf.range(shapes.sizes(prompts.key)[1]) < lengths[:, None]
        heads = shapes.sizes(prompts.key)[2]
        _, y = feature_attention.scaled(prompts.query, prompts.key)
        key, value = (shapes.by_sequence(x) for x in (y, tf.cast(prompts.value, y.dtype)))
        sums = feature_totals.summed(key, value, tf.repeat(counts, heads, axis=0), self.rows, self.features)
        by_head = (tf.reshape(x, [-1, heads, *x.shape[1:]]) for x in sums[:2])
        return dict(zip(("largest", "sums"), by_head, strict=True))

    def step(self, state: base.State, token: base.Vectors, indices: base.StepIndices) -> tuple[tf.Tensor, base.State]:
        x, y = (z[:, 0] for z in feature_attention.scaled(token.query, token.key))
        vector = feature_sums.with_one(tf.cast(token.value[:, 0], y.dtype))
        feature_map = FEATURE_MAPS[self.features]
        # The sum over one token; its largest log-features are its own.
        key = feature_map.keys(y, self.rows)
        own = Sums(key, tf.ones_like(key)[..., None] * vector[..., None, :])
        sums = feature_sums.combined(Sums(state["largest"], state["sums"]), own)
        seen = feature_sums.seen_by_one(feature_map.queries(x, self.rows), sums)
        output = tf.cast(feature_sums.normalised(seen)[0], token.value.dtype)
        return output[:, None], {"largest": sums.largest, "sums": sums.sums}
