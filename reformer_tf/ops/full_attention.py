"""Exact attention to all tokens, a block of queries after another: memory grows linearly with the length."""

from collections.abc import Callable

import tensorflow as tf

from reformer_tf.ops import attention, blocks, grouping, loops, shapes
from reformer_tf.ops.pair_dropout import PairDropout

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
    query, key, value = (grouping.by_sequence(x) for x in (query, key, value))
    statistics = shapes.statistics_dtype(value.dtype)
    count, length, size = shapes.sizes(query)
    split = _QueryBlocks(count, length)
    positions = tf.range(split.length)
    # What the visibility of a query depends on, cut like the queries themselves.
    own_positions = split.cut(positions[None, :])
    own_valid = None if valid is None else split.cut(valid)
    own_segments = None if segments is None else split.cut(segments)

    def conditions(index: tf.Tensor) -> blocks.Pairs:
        """Visibility and dropout factors of one block of queries, broadcasting to `[N, Q, L]`."""
        ours = own_positions[index]
        distance = ours[:, :, None] - positions
        visible = distance >= 0 if causal else tf.ones_like(distance, tf.bool)
        if exclude_self:
            visible = tf.logical_and(visible, distance != 0)
        if valid is not None and own_valid is not None:
            visible = tf.logical_and(visible, tf.logical_and(own_valid[index][:, :, None], valid[:, None, :]))
        if segments is not None and own_segments is not None:
            visible = tf.logical_and(visible, own_segments[index][:, :, None] == segments[:, None, :])
        keep = None
        if dropout is not None:
            keep = dropout.factors(ours, positions[None], statistics)
        return blocks.Pairs(visible, keep)

    @tf.custom_gradient
    def attend(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor) -> tuple[tuple[tf.Tensor, tf.Tensor], Callable]:
        # In eager mode an outer tape would record what is inside otherwise.
        query, key, value = (tf.stop_gradient(x) for x in (query, key, value))
        queries = split.cut(query)

        def forward(index: tf.Tensor) -> list[tf.Tensor]:
            return list(blocks.attend(queries[index], [blocks.Part(key, value, conditions(index))]))

        output, log_sum_exp = split.over_blocks(forward, [(statistics, [size]), (statistics, [])])

        def gradient(upstream: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            delta = split.cut(tf.reduce_sum(tf.cast(upstream, statistics) * output, axis=-1))
            upstreams = split.cut(upstream)
            # Rows beyond the end must not overflow: a large log-sum-exp makes their probabilities zero.
            saved = split.cut(log_sum_exp, fill=-blocks.FLOOR)

            def backward(index: tf.Tensor) -> list[tf.Tensor]:
                part = blocks.Part(key, value, conditions(index))
                d_query, (d_key,), (d_value,) = blocks.attend_gradient(
                    queries[index], [part], saved[index], delta[index], upstreams[index]
                )
                return [tf.cast(d_query, query.dtype), d_key, d_value]

            sums = [tf.zeros_like(key, statistics), tf.zeros_like(value, statistics)]
            d_query, d_key, d_value = split.over_blocks(backward, [(query.dtype, [size])], sums)
            return d_query, tf.cast(d_key, key.dtype), tf.cast(d_value, value.dtype)

        return (tf.cast(output, value.dtype), log_sum_exp), gradient

    output, log_sum_exp = attend(query, key, value)
    if exclude_self:
        keep = None if dropout is None else dropout.own_factors(length, value.dtype)
        output = attention.alone(output, log_sum_exp, value, valid, keep)
    return tf.ensure_shape(grouping.by_position(output, heads), shape)


class _QueryBlocks:
    """Cuts queries into blocks whose logits fit the budget."""

    def __init__(self, count: shapes.Size, length: shapes.Size):
        self.count, self.length = count, length
        if isinstance(count, int) and isinstance(length, int):
            self.rows = min(max(_BLOCK_BYTES // max(4 * count * length, 1), 1), max(length, 1))
        else:
            self.rows = tf.clip_by_value(_BLOCK_BYTES // tf.maximum(4 * count * length, 1), 1, tf.maximum(length, 1))
        self.steps = shapes.ceil_div(length, self.rows)

    def cut(self, x: tf.Tensor, fill: float = 0) -> tf.Tensor:
        """`[N, L, ...]` to `[steps, N, rows, ...]`, the end padded with `fill`: an index then takes one block."""
        rest = x.shape.rank - 2
        padding = [[0, 0], [0, self.steps * self.rows - self.length], *([[0, 0]] * rest)]
        x = tf.pad(x, padding, constant_values=tf.cast(fill, x.dtype))
        shape = tf.shape(x)
        x = tf.reshape(x, tf.concat([shape[:1], [self.steps, self.rows], shape[2:]], axis=0))
        return tf.transpose(x, [1, 0, *range(2, rest + 3)])

    def join(self, x: tf.Tensor) -> tf.Tensor:
        """The inverse of `cut`."""
        x = tf.transpose(x, [1, 0, *range(2, x.shape.rank)])
        shape = tf.shape(x)
        return tf.reshape(x, tf.concat([shape[:1], [self.steps * self.rows], shape[3:]], axis=0))[:, : self.length]

    def over_blocks(
        self,
        body: Callable[[tf.Tensor], list[tf.Tensor]],
        widths: list[tuple[tf.DType, list[int]]],
        sums: list[tf.Tensor] | None = None,
    ) -> list[tf.Tensor]:
        """Calls `body(index)` for each block.

        Args:
            body: returns one `[N, rows, ...]` for each of `widths`, then one summand for each of `sums`.
            widths: dtype of each result that is joined, and its sizes after `[N, rows]`.
            sums: initial values of the results that are summed.

        Returns:
            The joined results `[N, L, ...]`, then the sums.
        """
        joined = len(widths)

        def step(index: tf.Tensor, state: list) -> list:
            results = body(index)
            arrays = [a.write(index, x) for a, x in zip(state[:joined], results[:joined], strict=True)]
            totals = zip(state[joined:], results[joined:], strict=True)
            return arrays + [total + tf.cast(x, total.dtype) for total, x in totals]

        static = [x if isinstance(x, int) else None for x in (self.count, self.rows)]
        arrays = [tf.TensorArray(dtype, size=self.steps, element_shape=[*static, *rest]) for dtype, rest in widths]
        state = loops.count_up(self.steps, step, arrays + (sums or []))
        return [self.join(a.stack()) for a in state[:joined]] + state[joined:]
