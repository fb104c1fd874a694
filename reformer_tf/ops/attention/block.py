"""Attention of one block of queries over the keys it looks at, forward and backward, with the statistics exposed.

Leading axes of all tensors are free; the letters are Q queries of a block and W keys of a part of its window.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from reformer_tf.ops import shapes, sums
from reformer_tf.ops.execution import loops

# Finite stand-ins for minus infinity: an invisible pair, and the floor of a row's maximum. A row that sees nothing
# has the floor as its log-sum-exp and gets probabilities exp(INVISIBLE - FLOOR) = 0, so that no NaN arises anywhere.
INVISIBLE = -1e9
FLOOR = -1e8
# The logit of a token with itself in the authors' released code.
SELF_PENALTY = -1e5


class Pairs(NamedTuple):
    """The pairs of a block and a part of its window; each attribute broadcasts to `[..., Q, W]`.

    Attributes:
        visible: boolean, whether a pair counts.
        keep: dropout factors of the probabilities, or None.
        penalised: boolean, pairs whose logit is `SELF_PENALTY` whether they are visible or not; or None.
    """

    visible: tf.Tensor
    keep: tf.Tensor | None = None
    penalised: tf.Tensor | None = None


class Part(NamedTuple):
    """A part of a window. Parts are not concatenated, because that would copy all keys and values.

    Attributes:
        key: `[..., W, D]`.
        value: `[..., W, D]`.
        pairs: which pairs with the queries count, and how.
    """

    key: tf.Tensor
    value: tf.Tensor
    pairs: Pairs


def attend(query: tf.Tensor, parts: Sequence[Part]) -> tuple[tf.Tensor, tf.Tensor]:
    """Softmax attention of one block over all parts of its window.

    Args:
        query: `[..., Q, D]`, scaled.
        parts: of the window.

    Returns:
        Output `[..., Q, D]` and log-sum-exp of the visible logits `[..., Q]` (`FLOOR` where there are none), both in
        the statistics dtype.
    """
    logits = [_masked_logits(query, part) for part in parts]
    weights, largest, log_sum_exp = softmax(logits)
    seen = [
        tf.matmul(after_dropout(x, part.pairs, part.value.dtype), part.value)
        for x, part in zip(weights, parts, strict=True)
    ]
    # Not a division by the total: a penalty is rounded here as in the log-sum-exp and in the gradient.
    output = sums.summed([tf.cast(x, largest.dtype) for x in seen]) * tf.exp(largest - log_sum_exp)
    return output, tf.squeeze(log_sum_exp, axis=-1)


def softmax(logits: Sequence[tf.Tensor]) -> tuple[list[tf.Tensor], tf.Tensor, tf.Tensor]:
    """Computes the parts of a softmax over all parts of a window.

    Args:
        logits: `[..., Q, W]` of each part, as `masked` gives them.

    Returns:
        Weights `[..., Q, W]`, which times `exp(largest - log_sum_exp)` are the probabilities; the largest logits and
        the log-sum-exps `[..., Q, 1]`, both at least `FLOOR`.
    """
    floor = tf.constant(FLOOR, logits[0].dtype)
    largest = functools.reduce(tf.maximum, [tf.reduce_max(x, axis=-1, keepdims=True) for x in logits])
    largest = tf.maximum(largest, floor)
    weights = [tf.exp(x - largest) for x in logits]
    total = sums.summed([tf.reduce_sum(x, axis=-1, keepdims=True) for x in weights])
    log_sum_exp = largest + tf.math.log(tf.maximum(total, tf.constant(1e-30, total.dtype)))
    return weights, largest, tf.maximum(log_sum_exp, floor)


def attend_to_self(
    output: tf.Tensor, log_sum_exp: tf.Tensor, value: tf.Tensor, valid: tf.Tensor | None, keep: tf.Tensor | None
) -> tf.Tensor:
    """Lets a token that sees no other attend to itself.

    This is the limit of a penalty on a token's own logit (paper, section 2, 'Causal masking'), without the rounding of
    a large finite one.

    Args:
        output: `[..., D]`, attention to others.
        log_sum_exp: `[...]`, `FLOOR` where a token sees no other.
        value: `[..., D]`.
        valid: boolean `[...]`, or None if no token is masked.
        keep: `[...]`, dropout factors of the tokens' pairs with themselves, or None.

    Returns:
        `[..., D]`.
    """
    nothing_else = log_sum_exp <= 0.5 * FLOOR
    if valid is not None:
        nothing_else = tf.logical_and(nothing_else, valid)
    if keep is not None:
        value *= keep[..., None]
    return tf.where(nothing_else[..., None], value, output)


def attend_gradient(
    query: tf.Tensor, parts: Sequence[Part], log_sum_exp: tf.Tensor, delta: tf.Tensor, upstream: tf.Tensor
) -> tuple[tf.Tensor, list[tf.Tensor], list[tf.Tensor]]:
    """Computes the gradient of `attend`, with the probabilities rebuilt from the log-sum-exp.

    With the log-sum-exp of the union of several rounds, the result is this round's part of the gradient of the merged
    attention.

    Args:
        query: as in `attend`.
        parts: as in `attend`.
        log_sum_exp: `[..., Q]`.
        delta: `[..., Q]`, the product of the output and its gradient, summed over channels.
        upstream: `[..., Q, D]`, gradient of the output.

    Returns:
        The gradient of the query `[..., Q, D]` in the statistics dtype, and for each part the gradients of its keys and
        of its values `[..., W, D]`, in their dtypes.
    """
    d_query, d_keys, d_values = [], [], []
    for part in parts:
        logits = _masked_logits(query, part)
        d_weights = tf.cast(tf.matmul(upstream, part.value, transpose_b=True), logits.dtype)
        weights, d_logits = logit_gradients(logits, d_weights, part.pairs, log_sum_exp, delta)
        d_logits = tf.cast(d_logits, query.dtype)
        d_query.append(tf.cast(tf.matmul(d_logits, part.key), logits.dtype))
        d_keys.append(tf.matmul(d_logits, query, transpose_a=True))
        d_values.append(tf.matmul(after_dropout(weights, part.pairs, part.value.dtype), upstream, transpose_a=True))
    return sums.summed(d_query), d_keys, d_values


def has_fast_softmax(query: tf.Tensor, pairs: Pairs) -> bool:
    """Whether `attend_to_all` is faster than `attend` and as exact: not faster in XLA, not as exact in half precision.

    Args:
        query: `[..., Q, D]`.
        pairs: of the queries and the only part of their window.
    """
    full_precision = query.dtype == shapes.statistics_dtype(query.dtype)
    return full_precision and pairs.penalised is None and not loops.in_xla()


def attend_to_all(query: tf.Tensor, part: Part) -> tuple[tf.Tensor, tf.Tensor]:
    """`attend` to a single part by TensorFlow's own softmax, whose statistics stay inside.

    Logits and weights are then each read once less. Its gradient, `attend_to_all_gradient`, needs no log-sum-exp.

    Args:
        query: as in `attend`.
        part: as in `attend`.

    Returns:
        Output `[..., Q, D]`, and `[..., Q]` that is `FLOOR` where a query sees nothing and zero elsewhere.
    """
    weights = tf.nn.softmax(_masked_logits(query, part))
    output = tf.matmul(after_dropout(weights, part.pairs, part.value.dtype), part.value)
    # A softmax over invisible pairs only gives equal weights, so the output is set to zero.
    sees = tf.broadcast_to(tf.reduce_any(part.pairs.visible, axis=-1), shapes.sizes(output)[:-1])
    nothing = tf.zeros([], output.dtype)
    return tf.where(sees[..., None], output, nothing), tf.where(sees, nothing, tf.constant(FLOOR, output.dtype))


def attend_to_all_gradient(
    query: tf.Tensor, part: Part, floor: tf.Tensor, delta: tf.Tensor, upstream: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Computes the gradient of `attend_to_all`, with the softmax computed again.

    Args:
        query: as in `attend_to_all`.
        part: as in `attend_to_all`.
        floor: `[..., Q]`, the second result of `attend_to_all`.
        delta: `[..., Q]`, as in `attend_gradient`.
        upstream: `[..., Q, D]`, gradient of the output.

    Returns:
        The gradients of the query `[..., Q, D]`, the keys and the values `[..., W, D]`.
    """
    upstream = tf.where((floor > 0.5 * FLOOR)[..., None], upstream, tf.zeros([], upstream.dtype))
    weights = tf.nn.softmax(_masked_logits(query, part))
    d_logits = softmax_gradient(weights, tf.matmul(upstream, part.value, transpose_b=True), part.pairs, delta)
    d_value = tf.matmul(after_dropout(weights, part.pairs, part.value.dtype), upstream, transpose_a=True)
    return tf.matmul(d_logits, part.key), tf.matmul(d_logits, query, transpose_a=True), d_value


def logit_gradients(
    logits: tf.Tensor, d_weights: tf.Tensor, pairs: Pairs, log_sum_exp: tf.Tensor, delta: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Computes the probabilities of a part, and the gradient of its logits.

    Args:
        logits: `[..., Q, W]`, as `masked` gives them.
        d_weights: `[..., Q, W]`, gradient of the probabilities after dropout: products of the output's gradient and
            values.
        pairs: which pairs count, and how.
        log_sum_exp: `[..., Q]`.
        delta: `[..., Q]`, as in `attend_gradient`.

    Returns:
        Both `[..., Q, W]`.
    """
    weights = tf.exp(logits - log_sum_exp[..., None])
    return weights, softmax_gradient(weights, d_weights, pairs, delta)


def softmax_gradient(
    weights: tf.Tensor, d_weights: tf.Tensor, pairs: Pairs, delta: tf.Tensor, scale: tf.Tensor | None = None
) -> tf.Tensor:
    """Computes the gradient of the logits of a softmax.

    Args:
        weights: `[..., Q, W]`, the probabilities, or what `scale` makes probabilities of.
        d_weights: as in `logit_gradients`.
        pairs: as in `logit_gradients`.
        delta: as in `logit_gradients`.
        scale: `[..., Q, 1]`, or None for probabilities.

    Returns:
        `[..., Q, W]`.
    """
    if pairs.keep is not None:
        d_weights *= pairs.keep
    difference = d_weights - delta[..., None]
    d_logits = weights * (difference if scale is None else scale * difference)
    if pairs.penalised is None:
        return d_logits
    return tf.where(pairs.penalised, tf.zeros([], d_logits.dtype), d_logits)  # Their logits are constants.


def masked(logits: tf.Tensor, pairs: Pairs) -> tf.Tensor:
    """Sets the logits `[..., Q, W]` of invisible and penalised pairs; in the statistics dtype."""
    logits = tf.cast(logits, shapes.statistics_dtype(logits.dtype))
    logits = tf.where(pairs.visible, logits, tf.constant(INVISIBLE, logits.dtype))
    if pairs.penalised is not None:
        logits = tf.where(pairs.penalised, tf.constant(SELF_PENALTY, logits.dtype), logits)
    return logits


def after_dropout(weights: tf.Tensor, pairs: Pairs, dtype: tf.DType) -> tf.Tensor:
    """Applies dropout to weights `[..., Q, W]`, and casts them to the dtype of products."""
    if pairs.keep is not None:
        weights *= pairs.keep
    return tf.cast(weights, dtype)


def _masked_logits(query: tf.Tensor, part: Part) -> tf.Tensor:
    return masked(tf.matmul(query, part.key, transpose_b=True), part.pairs)
