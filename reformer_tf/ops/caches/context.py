"""What decoding stores of the sequence that cross-attention attends to: computed once for each row, never changed.

Several continuations of a row, as the beams of a search, share it.
"""

import tensorflow as tf

from reformer_tf.ops import shapes
from reformer_tf.ops.attention import feature_attention, feature_sums, feature_totals
from reformer_tf.ops.attention.feature_sums import Sums
from reformer_tf.ops.attention.features import FEATURE_MAPS
from reformer_tf.ops.caches.base import State


def keys_and_values(key: tf.Tensor, value: tf.Tensor, valid: tf.Tensor | None) -> State:
    """Stores all keys and values.

    Args:
        key: `[B, S, H, D]`.
        value: `[B, S, H, D]`.
        valid: boolean `[B, S]`, or None.
    """
    keys, values = (tf.transpose(x, [0, 2, 1, 3]) for x in (key, value))
    return {"keys": keys, "values": values, "valid": tf.ones(tf.shape(key)[:2], tf.bool) if valid is None else valid}


def attend(query: tf.Tensor, state: State) -> tf.Tensor:
    """Attends to stored keys and values.

    Args:
        query: `[B, K, H, D]`, scaled.
        state: from `keys_and_values`.

    Returns:
        `[B, K, H, D]` in the dtype of the values; zero where no key is valid.
    """
    keys, values, valid = state["keys"], state["values"], state["valid"][:, None, None]
    statistics = shapes.statistics_dtype(query.dtype)
    logits = tf.cast(tf.matmul(tf.transpose(query, [0, 2, 1, 3]), keys, transpose_b=True), statistics)
    logits = tf.where(valid, logits, statistics.min)
    weights = tf.exp(logits - tf.reduce_max(logits, axis=-1, keepdims=True))
    weights = tf.where(valid, weights / tf.reduce_sum(weights, axis=-1, keepdims=True), tf.zeros([], statistics))
    return tf.transpose(tf.matmul(tf.cast(weights, values.dtype), values), [0, 2, 1, 3])


def sums_of_features(
    key: tf.Tensor, value: tf.Tensor, valid: tf.Tensor | None, features: str, rows: tf.Tensor | None
) -> State:
    """Stores sums of the features of keys times [value, 1], see `feature_sums`.

    Args:
        key: `[B, S, H, D]`.
        value: `[B, S, H, D]`.
        valid: boolean `[B, S]`, or None.
        features: a name of `features.FEATURE_MAPS`.
        rows: of the features, `[r, D]`, or None.
    """
    heads = shapes.sizes(key)[2]
    _, y = feature_attention.scaled(key, key)
    counts = tf.ones(tf.shape(key)[:2], tf.bool) if valid is None else valid
    keys, values = (shapes.by_sequence(x) for x in (y, tf.cast(value, y.dtype)))
    sums = feature_totals.summed(keys, values, tf.repeat(counts, heads, axis=0), rows, features)
    batch = shapes.sizes(key)[0]
    by_head = (tf.reshape(x, [batch, heads, *x.shape[1:]]) for x in sums[:2])
    return dict(zip(("largest", "sums"), by_head, strict=True))


def attend_to_sums(query: tf.Tensor, state: State, features: str, rows: tf.Tensor | None) -> tf.Tensor:
    """Attends to stored sums.

    Args:
        query: `[B, K, H, D]`, scaled.
        state: from `sums_of_features`, with the same features and rows.
        features: a name of `features.FEATURE_MAPS`.
        rows: of the features, `[r, D]`, or None.

    Returns:
        `[B, K, H, D]` in at least float32; zero where no key counted.
    """
    x, _ = feature_attention.scaled(query, query)
    logs = FEATURE_MAPS[features].queries(x, rows)
    seen = feature_sums.seen(tf.transpose(logs, [0, 2, 1, 3]), None, Sums(state["largest"], state["sums"], None))
    return tf.transpose(feature_sums.normalised(seen)[0], [0, 2, 1, 3])
