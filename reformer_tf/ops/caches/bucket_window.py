"""The cache of windows within buckets: keys and values by position, and for each bucket its last positions."""

from typing import NamedTuple

import tensorflow as tf

from reformer_tf.ops import shapes
from reformer_tf.ops.attention import ordering
from reformer_tf.ops.caches import base
from reformer_tf.ops.execution import in_place

_NOBODY = -1


class BucketWindowsCache(NamedTuple):
    """Keys and values once, by position; and the last C positions of each bucket of each round, in a ring buffer.

    A token sees the union of the windows of all rounds, each token once, as with `BucketWindow`: at most `(R + 1) C`
    tokens, however long the sequence.

    Attributes:
        window: C, how many tokens of its bucket a token sees in a round, itself among them.
        num_buckets: the number of buckets.
        local_round: whether there is a local round before the hash rounds.
    """

    window: int
    num_buckets: int
    local_round: bool

    def fill(self, prompts: base.Vectors, lengths: tf.Tensor, capacity: shapes.Size) -> base.State:
        batch, heads, rounds, length = shapes.sizes(prompts.buckets)
        buckets = tf.reshape(prompts.buckets, [-1, length])
        sequences = shapes.sizes(buckets)[0]
        valid = tf.repeat(tf.sequence_mask(lengths, length), heads * rounds, axis=0)
        sorted_order = ordering.hash_sorted_order(buckets, valid, self.num_buckets, self.window)
        # Masked tokens are counted in an extra bucket, whose count is dropped.
        nowhere = sequences * self.num_buckets
        slots = tf.where(valid, buckets + tf.range(sequences)[:, None] * self.num_buckets, nowhere)
        counts = tf.math.bincount(tf.reshape(slots, [-1]), minlength=nowhere + 1, maxlength=nowhere + 1)
        counts = tf.reshape(counts[:-1], [sequences, self.num_buckets])
        before = tf.gather(tf.cumsum(counts, axis=-1, exclusive=True), tf.where(valid, buckets, 0), batch_dims=1)
        ring_slots = tf.where(valid, slots * self.window + (sorted_order.ranks - before) % self.window, 0)
        positions = tf.where(valid, tf.range(length), _NOBODY)
        # A ring slot that several positions map to holds the last of them.
        rings = tf.tensor_scatter_nd_max(
            tf.fill([nowhere * self.window], _NOBODY),
            tf.reshape(ring_slots, [-1, 1]),
            tf.reshape(positions, [-1]),
        )
        return {
            # Concatenated: the positions that are read are far apart, and each look-up takes time.
            "vectors": base.by_head(tf.concat([prompts.key, prompts.value], axis=-1), capacity),
            "rings": tf.reshape(rings, [batch, heads, rounds, self.num_buckets, self.window]),
            "counts": tf.reshape(in_place.after(rings, counts), [batch, heads, rounds, self.num_buckets]),
        }

    def step(self, state: base.State, token: base.Vectors, indices: base.StepIndices) -> tuple[tf.Tensor, base.State]:
        heads, size = token.value.shape[2:]
        rounds = state["rings"].shape[2]
        rows, repeated = indices.rows(heads), indices.repeated(heads)
        vectors = tf.concat([token.key, token.value], axis=-1)
        cached = base.put(state["vectors"], vectors, rows, repeated)
        slots = indices.rows(heads * rounds) * self.num_buckets + tf.reshape(token.buckets, [-1])
        counts = tf.reshape(state["counts"], [-1])
        earlier = tf.gather(counts, slots)
        counts = in_place.set_rows(counts, slots, earlier + 1)
        rings = tf.reshape(state["rings"], [-1])
        ring_slots = slots * self.window + earlier % self.window
        rings = in_place.set_rows(rings, ring_slots, indices.repeated(heads * rounds))
        # With the token itself added, the ring of its bucket is its window.
        seen = tf.gather(tf.reshape(rings, [-1, self.window]), slots)
        rings = in_place.after(seen, rings)
        seen = tf.reshape(seen, [-1, rounds * self.window])
        if self.local_round:
            nearest = repeated[:, None] - tf.range(1, self.window)
            seen = tf.concat([nearest, seen], axis=-1)
        # In falling order: the token itself comes first, and a position met in several rounds is repeated.
        seen = tf.math.top_k(seen, seen.shape[-1]).values
        others = seen[:, 1:]
        visible = tf.logical_and(others < seen[:, :-1], others >= 0)
        met = rows[:, None] * tf.shape(cached)[2] + tf.maximum(others, 0)
        window = [heads, others.shape[-1]]
        vectors = tf.reshape(tf.gather(tf.reshape(cached, [-1, 2 * size]), met), [-1, *window, 2 * size])
        # Not tf.split, which distributes the work among threads and takes longer.
        met_keys, met_values = vectors[..., :size], vectors[..., size:]
        output = base.attend(token.query, met_keys, met_values, tf.reshape(visible, [-1, *window]), token.value)
        ring, count = state["rings"].shape, state["counts"].shape
        return output, {
            "vectors": cached,
            "rings": tf.reshape(rings, [-1, *ring[1:]]),
            "counts": tf.reshape(counts, [-1, *count[1:]]),
        }
