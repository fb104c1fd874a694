"""Exact attention to all tokens, a block of queries after another: memory grows linearly with the length."""

from collections.abc import Callable

import tensorflow as tf

from reformer_tf.ops import attention, axes, blocks, shapes
from reformer_tf.ops.pair_dropout import PairDropout
from reformer_tf.ops.pieces import Cutting

# Bytes of fp32 logits that may be alive at a time.
_BLOCK_BYTES = 16 * 2**20


def full_attention(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    valid: tf.Tensor | None,
    causal: bool,
    exclude_self: bool,
    segments: tf.Tensor | None = None,
    dropout: PairDropout | None = None,
) -> tf.Tensor:
    """Attends to every visible token.

    Args:
        query: `[B, L, H, D]`, scaled. There are N = B * H sequences.
        key: `[B, L, H, D]`.
        value: `[B, L, H, D]`.
        valid: boolean `[N, L]`, False for masked tokens, or None.
        causal: whether a token sees no later token.
        exclude_self: whether a token sees itself only when it sees nothing else.
        segments: int32 `[N, L]`; tokens of different segments do not see each other. Or None.
        dropout: of the attention probabilities, or None.

    Returns:
        `[B, L, H, D]` in the dtype of `value`; zero where a token is masked or sees nothing.
    """
    heads, shape = shapes.sizes(query)[2], value.shape
    query, key, value = (axes.by_sequence(x) for x in (query, key, value))
    statistics = shapes.statistics_dtype(value.dtype)
    count, length, size = shapes.sizes(query)
    cutting = Cutting(count, length, _BLOCK_BYTES // (4 * length))
    positions = tf.range(length)
    # What the visibility of a query depends on, cut like the queries themselves.
    own_positions = cutting.prepared(positions[None])
    own_valid = None if valid is None else cutting.prepared(valid)
    own_segments = None if segments is None else cutting.prepared(segments)

    def conditions(index: tf.Tensor) -> blocks.Pairs:
        """Visibility and dropout factors of one block of queries, broadcasting to `[N, Q, L]`."""
        ours = cutting.piece(own_positions, index)
        distance = ours[:, :, None] - positions
        visible = distance >= 0 if causal else tf.ones_like(distance, tf.bool)
        if exclude_self:
            visible = tf.logical_and(visible, distance != 0)
        if valid is not None and own_valid is not None:
            visible = tf.logical_and(
                visible, tf.logical_and(cutting.piece(own_valid, index)[:, :, None], valid[:, None])
            )
        if segments is not None and own_segments is not None:
            visible = tf.logical_and(visible, cutting.piece(own_segments, index)[:, :, None] == segments[:, None])
        keep = None
        if dropout is not None:
            keep = dropout.factors(ours, positions[None], statistics)
        return blocks.Pairs(visible, keep)

    @tf.custom_gradient
    def attend(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor) -> tuple[tuple[tf.Tensor, tf.Tensor], Callable]:
        # In eager mode an outer tape would record what is inside otherwise.
        query, key, value = (tf.stop_gradient(x) for x in (query, key, value))
        queries = cutting.prepared(query)

        def forward(index: tf.Tensor, arrays: list) -> list:
            results = blocks.attend(cutting.piece(queries, index), [blocks.Part(key, value, conditions(index))])
            return [array.write(index, result) for array, result in zip(arrays, results, strict=True)]

        arrays = [cutting.empty(statistics, shape, query) for shape in ([size], [])]
        output, log_sum_exp = (cutting.join(array) for array in cutting.sweep(forward, arrays))

        def gradient(upstream: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            delta = tf.reduce_sum(tf.cast(upstream, statistics) * output, axis=-1)
            # What fills up the last piece has zero logits and a zero gradient.
            prepared = [cutting.prepared(x) for x in (log_sum_exp, delta, upstream)]

            def backward(index: tf.Tensor, state: list) -> list:
                d_queries, *totals = state
                part = blocks.Part(key, value, conditions(index))
                d_query, (d_key,), (d_value,) = blocks.attend_gradient(
                    cutting.piece(queries, index), [part], *(cutting.piece(x, index) for x in prepared)
                )
                totals = [total + tf.cast(x, total.dtype) for total, x in zip(totals, (d_key, d_value), strict=True)]
                return [d_queries.write(index, tf.cast(d_query, query.dtype)), *totals]

            state = [cutting.empty(query.dtype, [size], upstream)]
            state += [tf.zeros_like(x, statistics) for x in (key, value)]
            d_queries, d_key, d_value = cutting.sweep(backward, state)
            return cutting.join(d_queries), tf.cast(d_key, key.dtype), tf.cast(d_value, value.dtype)

        return (tf.cast(output, value.dtype), log_sum_exp), gradient

    output, log_sum_exp = attend(query, key, value)
    if exclude_self:
        keep = None if dropout is None else dropout.own_factors(length, value.dtype)
        output = attention.alone(output, log_sum_exp, value, valid, keep)
    return tf.ensure_shape(axes.by_position(output, heads), shape)
