"""Attention of one block of queries over its window of keys, forward and backward, with the softmax statistics exposed.

Leading axes of all tensors are free; the letters are Q queries and W keys of a block.
"""

from typing import NamedTuple

import tensorflow as tf

from reformer_tf.ops import shapes

# Finite stand-ins for minus infinity: an invisible pair, and the floor of a row's maximum. A row that sees nothing
# keeps the floor as its log-sum-exp and gets probabilities exp(INVISIBLE - FLOOR) = 0, so that no NaN arises anywhere.
INVISIBLE = -1e9
FLOOR = -1e8
# What the authors' released code takes for the logit of a token with itself.
SELF_PENALTY = -1e5


class Pairs(NamedTuple):
    """What is known of the pairs of a block; each broadcasts to `[..., Q, W]`.

    Attributes:
        visible: boolean, whether a pair counts.
        keep: dropout factors of the probabilities, or None.
        penalised: boolean, pairs whose logit is `SELF_PENALTY` whether they are visible or not; or None.
    """

    visible: tf.Tensor
    keep: tf.Tensor | None = None
    penalised: tf.Tensor | None = None


def attend(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, pairs: Pairs) -> tuple[tf.Tensor, tf.Tensor]:
    """Softmax attention of one block.

    Args:
        query: `[..., Q, D]`, scaled.
        key: `[..., W, D]`.
        value: `[..., W, D]`.
        pairs: which count, and how.

    Returns:
        Output `[..., Q, D]` and log-sum-exp of the visible logits `[..., Q]` (`FLOOR` where there are none), both in
        the statistics dtype.
    """
    logits = _masked_logits(query, key, pairs)
    largest = tf.maximum(tf.reduce_max(logits, axis=-1, keepdims=True), tf.constant(FLOOR, logits.dtype))
    weights = tf.exp(logits - largest)
    total = tf.maximum(tf.reduce_sum(weights, axis=-1, keepdims=True), tf.constant(1e-30, logits.dtype))
    if pairs.keep is not None:
        weights *= pairs.keep
    log_sum_exp = tf.maximum(largest + tf.math.log(total), tf.constant(FLOOR, logits.dtype))
    # Not a division by the total: where a penalty was rounded in the log-sum-exp, so it is here and in the gradient.
    output = tf.cast(tf.matmul(tf.cast(weights, value.dtype), value), logits.dtype) * tf.exp(largest - log_sum_exp)
    return output, tf.squeeze(log_sum_exp, axis=-1)


def attend_gradient(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    pairs: Pairs,
    log_sum_exp: tf.Tensor,
    delta: tf.Tensor,
    upstream: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Gradient of `attend` with the probabilities rebuilt from the log-sum-exp.

    With the log-sum-exp of the union of several rounds, the result is this round's part of the gradient of the merged
    attention.

    Args:
        query: as in `attend`.
        key: as in `attend`.
        value: as in `attend`.
        pairs: as in `attend`.
        log_sum_exp: `[..., Q]`.
        delta: `[..., Q]`, the product of the output and its gradient, summed over channels.
        upstream: `[..., Q, D]`, gradient of the output.

    Returns:
        Gradients of query `[..., Q, D]`, key and value `[..., W, D]`, in the dtypes of these.
    """
    logits = _masked_logits(query, key, pairs)
    weights = tf.exp(logits - log_sum_exp[..., None])
    slope = tf.cast(tf.matmul(upstream, value, transpose_b=True), logits.dtype)
    if pairs.keep is not None:
        slope *= pairs.keep
    slope = weights * (slope - delta[..., None])
    if pairs.penalised is not None:  # a constant, whatever query and key are
        slope = tf.where(pairs.penalised, tf.zeros([], slope.dtype), slope)
    slope = tf.cast(slope, query.dtype)
    if pairs.keep is not None:
        weights *= pairs.keep
    return (
        tf.matmul(slope, key),
        tf.matmul(slope, query, transpose_a=True),
        tf.matmul(tf.cast(weights, value.dtype), upstream, transpose_a=True),
    )


def _masked_logits(query: tf.Tensor, key: tf.Tensor, pairs: Pairs) -> tf.Tensor:
    logits = tf.matmul(query, key, transpose_b=True)
    logits = tf.cast(logits, shapes.statistics_dtype(logits.dtype))
    logits = tf.where(pairs.visible, logits, tf.constant(INVISIBLE, logits.dtype))
    if pairs.penalised is not None:
        logits = tf.where(pairs.penalised, tf.constant(SELF_PENALTY, logits.dtype), logits)
    return logits
