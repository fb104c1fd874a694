"""The one attention core: tokens in some orders, each query attending to a window in each, rounds merged exactly.

Every pair counts in the first round in whose window it meets, so the merged result is one softmax over the union of all
windows (paper, equation 3 and appendix A, where `log N_ij` corrects what is not counted twice here). The gradient is
written by hand: per round the probabilities are rebuilt from the saved log-sum-exp of the union, and what was gathered
in an order is gathered back by the inverse order, so no scatter is needed anywhere.
"""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from reformer_tf.ops import blocks, dropout, grouping, ordering, seeds, shapes
from reformer_tf.ops.ordering import Order


class Window(NamedTuple):
    """What a query sees in a round.

    Attributes:
        chunk_length: C, at least 1.
        causal: whether a token sees no later token.
        exclude_self: whether a token sees itself only when it sees nothing else (shared queries and keys).
        dropout: share of the attention probabilities to drop, in [0, 1).
    """

    chunk_length: int
    causal: bool
    exclude_self: bool
    dropout: float = 0.0


def windowed_attention(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    orders: Sequence[Order],
    window: Window,
    segments: tf.Tensor | None = None,
    dropout_keys: tf.Tensor | None = None,
) -> tf.Tensor:
    """Attends within the windows of several orders.

    Args:
        query: `[N, L, D]`, scaled; N counts rows and heads.
        key: `[N, L, D]`.
        value: `[N, L, D]`.
        orders: one for each round, see `reformer_tf.ops.ordering`.
        window: what a query sees.
        segments: int32 `[N, L]`; tokens of different segments do not see each other. Or None.
        dropout_keys: uint32 `[N]`, needed if `window.dropout` is not 0.

    Returns:
        `[N, L, D]` in the dtype of `value`; zero where a token is masked or sees nothing.
    """
    count, length, size = shapes.sizes(query)
    layout = grouping.Layout(count, length, window.chunk_length, window.causal)
    places = [layout.place(order) for order in orders]
    # What every round must know of a token: its u in this round and all before, its segment, its position.
    tags = [order.u for order in orders]
    if segments is not None:
        tags.append(segments)
    if window.dropout:
        tags.append(tf.broadcast_to(tf.range(length), tf.shape(orders[0].u)))
    tags = tf.stack(tags, axis=-1)
    has_segments = segments is not None

    def visibility(round_index: int, query_tags: tf.Tensor, key_tags: tf.Tensor) -> tf.Tensor:
        met = [
            ordering.near(query_tags[..., r], key_tags[..., r], window.chunk_length, window.causal, window.exclude_self)
            for r in range(round_index + 1)
        ]
        visible = met[-1]
        for earlier in met[:-1]:
            visible = tf.logical_and(visible, tf.logical_not(earlier))
        if has_segments:
            same = query_tags[..., :, None, len(orders)] == key_tags[..., None, :, len(orders)]
            visible = tf.logical_and(visible, same)
        return visible

    def keep_factors(query_tags: tf.Tensor, key_tags: tf.Tensor, dtype: tf.DType) -> tf.Tensor | None:
        if not window.dropout:
            return None
        return pair_keep(
            dropout_keys[:, None], query_tags[..., -1], key_tags[..., -1], window.dropout, dtype
        )  # [..., N, Q, W]

    @tf.custom_gradient
    def attend(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor) -> tuple[tuple[tf.Tensor, tf.Tensor], ...]:
        statistics = shapes.statistics_dtype(value.dtype)
        # In eager mode an outer tape would record what is inside otherwise.
        query, key, value = (tf.stop_gradient(x) for x in (query, key, value))
        packed = tf.concat([query, key, value], axis=-1)
        output = log_sum_exp = None
        for index, place in enumerate(places):

            def forward(rows: list[tf.Tensor], index: int = index) -> list[tf.Tensor]:
                queries, keys = layout.queries_and_keys(rows)
                keep = keep_factors(queries[1], keys[1], statistics)
                return list(
                    blocks.attend(
                        queries[0][..., :size],
                        keys[0][..., size : 2 * size],
                        keys[0][..., 2 * size :],
                        visibility(index, queries[1], keys[1]),
                        keep,
                    )
                )

            results = [(statistics, [size]), (statistics, [])]
            with tf.control_dependencies([] if output is None else [output]):
                sources = [layout.sort(packed, place), layout.sort(tags, place, fill=ordering.NOWHERE)]
            part, part_sum = (layout.unsort(x, place) for x in layout.over_groups(forward, sources, results))
            if output is None:
                output, log_sum_exp = part, part_sum
            else:
                merged = tf.maximum(log_sum_exp, part_sum)
                merged += tf.math.log(tf.exp(log_sum_exp - merged) + tf.exp(part_sum - merged))
                output *= tf.exp(log_sum_exp - merged)[..., None]
                output += part * tf.exp(part_sum - merged)[..., None]
                log_sum_exp = merged
        saved = log_sum_exp

        def gradient(upstream: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            delta = tf.reduce_sum(tf.cast(upstream, statistics) * output, axis=-1)
            scalars = tf.stack([saved, delta], axis=-1)
            total = None
            for index, place in enumerate(places):

                def backward(rows: list[tf.Tensor], index: int = index) -> list[tf.Tensor]:
                    queries, keys = layout.queries_and_keys(rows)
                    keep = keep_factors(queries[1], keys[1], statistics)
                    d_query, d_key, d_value = blocks.attend_gradient(
                        queries[0][..., :size],
                        keys[0][..., size : 2 * size],
                        keys[0][..., 2 * size :],
                        visibility(index, queries[1], keys[1]),
                        keep,
                        queries[2][..., 0],
                        queries[2][..., 1],
                        queries[3],
                    )
                    return [d_query, layout.fold(tf.concat([d_key, d_value], axis=-1))]

                results = [(value.dtype, [size]), (value.dtype, [2 * size])]
                with tf.control_dependencies([upstream] if total is None else [total]):
                    sources = [
                        layout.sort(packed, place),
                        layout.sort(tags, place, fill=ordering.NOWHERE),
                        layout.sort(scalars, place),
                        layout.sort(upstream, place),
                    ]
                d_query, d_window = layout.over_groups(backward, sources, results, folded=(1,))
                part = tf.cast(layout.unsort(tf.concat([d_query, d_window], axis=-1), place), statistics)
                total = part if total is None else total + part
            return tuple(tf.cast(x, value.dtype) for x in tf.split(total, 3, axis=-1))

        return (tf.cast(output, value.dtype), saved), gradient

    output, log_sum_exp = attend(query, key, value)
    if not window.exclude_self:
        return output
    factor = self_keep(dropout_keys, length, window.dropout, value.dtype)
    return alone(output, log_sum_exp, value, orders[0].u != ordering.NOWHERE, factor)


def alone(
    output: tf.Tensor, log_sum_exp: tf.Tensor, value: tf.Tensor, valid: tf.Tensor | None, factor: tf.Tensor | None
) -> tf.Tensor:
    """Lets a token that sees no other attend to itself.

    This is the limit of a penalty on a token's own logit (paper, section 2, 'Causal masking'), without the rounding of
    a large finite one.

    Args:
        output: `[N, L, D]`, attention to others.
        log_sum_exp: `[N, L]`, `blocks.FLOOR` where a token sees no other.
        value: `[N, L, D]`.
        valid: boolean `[N, L]`, or None if no token is masked.
        factor: dropout factors of the self pairs `[N, L]`, or None.
    """
    nothing_else = log_sum_exp <= 0.5 * blocks.FLOOR
    if valid is not None:
        nothing_else = tf.logical_and(nothing_else, valid)
    own = value if factor is None else value * factor[..., None]
    return tf.where(nothing_else[..., None], own, output)


def pair_keep(
    keys: tf.Tensor, query_positions: tf.Tensor, key_positions: tf.Tensor, rate: float, dtype: tf.DType
) -> tf.Tensor:
    """Dropout factors of pairs: a function of a key for row and head, and of the two positions.

    A pair counts in one round only, so the round need not enter; LSH attention that covers everything then equals full
    attention with dropout on, too.

    Args:
        keys: uint32, broadcasts against the positions.
        query_positions: int32 `[..., Q]`.
        key_positions: int32 `[..., W]`.
        rate: share to drop.
        dtype: of the result.

    Returns:
        `[..., Q, W]`.
    """
    rows = seeds.mix(keys, query_positions)[..., :, None]
    columns = seeds.mix(key_positions)[..., None, :]
    return dropout.keep_scale(seeds.scramble(rows + columns), rate, dtype)


def self_keep(keys: tf.Tensor | None, length: shapes.Size, rate: float, dtype: tf.DType) -> tf.Tensor | None:
    """The factors of `pair_keep` for the pairs (i, i): `[N, L]`, or None without dropout."""
    if not rate:
        return None
    positions = tf.range(length)
    return dropout.keep_scale(seeds.scramble(seeds.mix(keys[:, None], positions) + seeds.mix(positions)), rate, dtype)
