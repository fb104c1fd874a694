"""`block_group` for accelerators: one product of a block of queries and its whole window, `[C, W]`.

Each tensor of a pair for each number is a pass over the device's memory, so there are as few as possible. The gradient
takes the weights of the forward pass, which are computed with the same operations, so that a program which computes
both (the backward pass of a reversible stack does) computes them once; their scale is a number a row, and falls on
the rows of the output's gradient.
"""

from collections.abc import Callable

import tensorflow as tf

from reformer_tf.ops.attention import block
from reformer_tf.ops.attention.block_group import Group, Rows, folded
from reformer_tf.ops.execution import barriers


def forward(group: Group, pays: bool) -> Callable[..., list[tf.Tensor]]:
    """Makes the same function as `block_group.forward`, for neighbors that are joined; never compiled by itself."""

    def attend(own: Rows, seen: Rows, dropout: tf.Tensor | None) -> list[tf.Tensor]:
        query, tags = own
        weights, largest, log_sum_exp, pairs = _softmax(group, query, tags, seen, dropout)
        value = seen[1]
        output = tf.cast(tf.matmul(block.after_dropout(weights, pairs, value.dtype), value), largest.dtype)
        return [output * tf.exp(largest - log_sum_exp), tf.squeeze(log_sum_exp, axis=-1)]

    return attend


def backward(group: Group, pays: bool) -> Callable[..., list[tf.Tensor]]:
    """Makes the same function as `block_group.backward`, see `forward`."""

    def attend_gradient(own: Rows, seen: Rows, dropout: tf.Tensor | None) -> list[tf.Tensor]:
        query, tags, log_sum_exp, delta, upstream = own
        weights, largest, _, pairs = _softmax(group, query, tags, seen, dropout)
        key, value, _ = seen
        scale = tf.exp(largest - log_sum_exp[..., None])
        d_weights = tf.cast(tf.matmul(upstream, value, transpose_b=True), weights.dtype)
        d_logits = tf.cast(block.softmax_gradient(weights, d_weights, pairs, delta, scale), query.dtype)
        d_query = tf.cast(tf.matmul(d_logits, key), largest.dtype)
        d_key = tf.matmul(d_logits, query, transpose_a=True)
        scaled = tf.cast(tf.cast(upstream, largest.dtype) * scale, upstream.dtype)
        d_value = tf.matmul(block.after_dropout(weights, pairs, value.dtype), scaled, transpose_a=True)
        return folded(group, key, d_query, group.neighbors.fold([d_key]), group.neighbors.fold([d_value]))

    return attend_gradient


def _softmax(
    group: Group, query: tf.Tensor, tags: tf.Tensor, seen: Rows, dropout: tf.Tensor | None
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, block.Pairs]:
    """Weights `[G, N, C, W]`, largest logits and log-sum-exps `[G, N, C, 1]` (see `block.softmax`), and the pairs."""
    key, _, key_tags = seen
    pairs = group.pairs(tags, key_tags, dropout)
    logits = block.masked(tf.matmul(query, key, transpose_b=True), pairs)
    (weights,), largest, log_sum_exp = block.softmax([logits])
    (rounded,) = barriers.behind(tf.cast(weights, query.dtype))
    return tf.cast(rounded, weights.dtype), largest, log_sum_exp, pairs
