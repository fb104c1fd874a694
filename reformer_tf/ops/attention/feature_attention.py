"""Attention by features of queries and keys: within a sequence in one direction or both, and to another sequence.

Everything is computed in at least float32: the weights of pairs are exponentials of what comes in.
"""

import tensorflow as tf

from reformer_tf.ops import shapes
from reformer_tf.ops.attention import feature_sweeps, feature_totals
from reformer_tf.ops.attention.feature_sweeps import Tokens


def attend(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    rows: tf.Tensor | None,
    features: str,
    valid: tf.Tensor | None,
    segments: tf.Tensor | None,
    causal: bool,
) -> tf.Tensor:
    """Attends to every token, by features.

    Args:
        query: `[B, L, H, D]`, scaled by D^-1/2. There are N = B * H sequences.
        key: `[B, L, H, D]`.
        value: `[B, L, H, D]`.
        rows: of the features, `[r, D]`, or None if they have none. No gradient flows to them.
        features: a name of `features.FEATURE_MAPS`.
        valid: boolean `[N, L]`, False for masked tokens, or None.
        segments: int32 `[N, L]` or None. Each run of equal ids is a segment; masked tokens end no run.
        causal: whether a token sees no later token.

    Returns:
        `[B, L, H, D]` in the dtype of `value`; zero for masked tokens.
    """
    heads, shape, dtype = shapes.sizes(query)[2], value.shape, value.dtype
    x, y = scaled(query, key)
    x, y, value = (shapes.by_sequence(tensor) for tensor in (x, y, tf.cast(value, x.dtype)))
    counts = tf.ones([1, shapes.sizes(x)[1]], tf.bool) if valid is None else valid
    runs = None if segments is None else runs_of_equal_ids(segments, valid)
    tokens = Tokens(x, y, value, counts, runs)
    if causal:
        output, _ = feature_sweeps.attend(tokens, rows, features, own=True)
    elif runs is None:
        output, _ = feature_totals.attend(x, y, value, counts, rows, features)
    else:
        output = _both_directions(tokens, rows, features)
    if valid is not None:
        output = tf.where(valid[..., None], output, tf.zeros_like(output))
    return tf.ensure_shape(tf.cast(shapes.by_position(output, heads), dtype), shape)


def attend_across(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    rows: tf.Tensor | None,
    features: str,
    valid: tf.Tensor | None,
    key_valid: tf.Tensor | None,
) -> tf.Tensor:
    """Attends to every token of another sequence, by features.

    Args:
        query: `[B, L, H, D]`, scaled by D^-1/2. There are N = B * H sequences.
        key: `[B, S, H, D]`.
        value: `[B, S, H, D]`.
        rows: of the features, `[r, D]`, or None if they have none. No gradient flows to them.
        features: a name of `features.FEATURE_MAPS`.
        valid: boolean `[N, L]`, False for masked tokens, or None.
        key_valid: boolean `[N, S]`, False for masked tokens of the other sequence, or None.

    Returns:
        `[B, L, H, D]` in the dtype of `value`; zero for masked tokens, and where no key counts.
    """
    heads, shape, dtype = shapes.sizes(query)[2], query.shape, value.dtype
    x, y = scaled(query, key)
    x, y, value = (shapes.by_sequence(tensor) for tensor in (x, y, tf.cast(value, x.dtype)))
    counts = tf.ones([1, shapes.sizes(y)[1]], tf.bool) if key_valid is None else key_valid
    output, _ = feature_totals.attend(x, y, value, counts, rows, features)
    if valid is not None:
        output = tf.where(valid[..., None], output, tf.zeros_like(output))
    return tf.ensure_shape(tf.cast(shapes.by_position(output, heads), dtype), shape)


def scaled(query: tf.Tensor, key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """X = q D^-1/4 and y = k D^-1/4 in at least float32, from q D^-1/2 and k."""
    root = key.shape[-1] ** 0.25
    statistics = shapes.statistics_dtype(query.dtype)
    return tf.cast(query, statistics) * root, tf.cast(key, statistics) / root


def runs_of_equal_ids(segments: tf.Tensor, valid: tf.Tensor | None) -> tf.Tensor:
    """Numbers the runs of equal ids of each row, int32 `[N, L]`.

    A masked token is in the run of the token before it, and separates no tokens of equal ids.
    """
    if valid is None:
        return _changes(segments)
    # Tokens that count first, in their order.
    counting_first = tf.argsort(tf.cast(tf.logical_not(valid), tf.int32), axis=-1, stable=True)
    runs = _changes(tf.gather(segments, counting_first, batch_dims=1))
    rank = tf.cumsum(tf.cast(valid, tf.int32), axis=-1) - 1
    return tf.gather(runs, tf.maximum(rank, 0), batch_dims=1)


def _changes(ids: tf.Tensor) -> tf.Tensor:
    """How many times the id has changed before each token."""
    changed = tf.pad(tf.not_equal(ids[:, 1:], ids[:, :-1]), [[0, 0], [1, 0]])[:, : shapes.sizes(ids)[1]]
    return tf.cumsum(tf.cast(changed, tf.int32), axis=-1)


def _both_directions(tokens: Tokens, rows: tf.Tensor | None, features: str) -> tf.Tensor:
    """Attends in both directions in runs: to the tokens up to a query, and to those after it."""
    output, log_sum = feature_sweeps.attend(tokens, rows, features, own=True)
    backwards = Tokens(*(tf.reverse(x, axis=[1]) for x in tokens))
    others = feature_sweeps.attend(backwards, rows, features, own=False)
    other_output, other_log_sum = (tf.reverse(x, axis=[1]) for x in others)
    weight = tf.sigmoid(log_sum - other_log_sum)[..., None]
    return weight * output + (1.0 - weight) * other_output
