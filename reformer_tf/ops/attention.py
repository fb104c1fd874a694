"""The one attention core: tokens in some orders, each query attending to a window in each, rounds merged exactly.

Every pair counts in the first round in whose window it meets, so the merged result is one softmax over the union of all
windows (paper, equation 3 and appendix A, where `log N_ij` corrects what is not counted twice here). The gradient is
written by hand: per round the probabilities are rebuilt from the saved log-sum-exp of the union, and what was gathered
in an order is gathered back by the inverse order, so no scatter is needed anywhere.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from reformer_tf.ops import blocks, ordering, shapes
from reformer_tf.ops.grouping import Layout
from reformer_tf.ops.ordering import Order
from reformer_tf.ops.pair_dropout import PairDropout


class Window(NamedTuple):
    """What a query sees in a round.

    Attributes:
        chunk_length: C, at least 1.
        causal: whether a token sees no later token.
        exclude_self: whether a token sees itself only when it sees nothing else (shared queries and keys).
    """

    chunk_length: int
    causal: bool
    exclude_self: bool


def windowed_attention(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    orders: Sequence[Order],
    window: Window,
    segments: tf.Tensor | None = None,
    dropout: PairDropout | None = None,
) -> tf.Tensor:
    """Attends within the windows of several orders.

    Args:
        query: `[N, L, D]`, scaled; N counts rows and heads.
        key: `[N, L, D]`.
        value: `[N, L, D]`.
        orders: one for each round, see `reformer_tf.ops.ordering`.
        window: what a query sees.
        segments: int32 `[N, L]`; tokens of different segments do not see each other. Or None.
        dropout: of the attention probabilities, or None.

    Returns:
        `[N, L, D]` in the dtype of `value`; zero where a token is masked or sees nothing.
    """
    rounds = _Rounds(query, orders, window, segments, dropout)

    @tf.custom_gradient
    def attend(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor) -> tuple[Any, Callable]:
        # In eager mode an outer tape would record what is inside otherwise.
        packed = tf.stop_gradient(tf.concat([query, key, value], axis=-1))
        output, log_sum_exp = rounds.forward(0, packed, [])
        for index in range(1, len(orders)):
            part, part_sum = rounds.forward(index, packed, [output])
            output, log_sum_exp = _merge(output, log_sum_exp, part, part_sum)

        def gradient(upstream: tf.Tensor, _: tf.Tensor) -> list[tf.Tensor]:
            delta = tf.reduce_sum(tf.cast(upstream, output.dtype) * output, axis=-1)
            scalars = tf.stack([log_sum_exp, delta], axis=-1)
            total = rounds.backward(0, packed, scalars, upstream, [])
            for index in range(1, len(orders)):
                total += rounds.backward(index, packed, scalars, upstream, [total])
            return [tf.cast(x, packed.dtype) for x in tf.split(total, 3, axis=-1)]

        return (tf.cast(output, value.dtype), log_sum_exp), gradient

    output, log_sum_exp = attend(query, key, value)
    if not window.exclude_self:
        return output
    return alone(output, log_sum_exp, value, orders[0].u != ordering.NOWHERE, dropout)


def alone(
    output: tf.Tensor, log_sum_exp: tf.Tensor, value: tf.Tensor, valid: tf.Tensor | None, dropout: PairDropout | None
) -> tf.Tensor:
    """Lets a token that sees no other attend to itself.

    This is the limit of a penalty on a token's own logit (paper, section 2, 'Causal masking'), without the rounding of
    a large finite one.

    Args:
        output: `[N, L, D]`, attention to others.
        log_sum_exp: `[N, L]`, `blocks.FLOOR` where a token sees no other.
        value: `[N, L, D]`.
        valid: boolean `[N, L]`, or None if no token is masked.
        dropout: of the attention probabilities, or None.

    Returns:
        `[N, L, D]`.
    """
    nothing_else = log_sum_exp <= 0.5 * blocks.FLOOR
    if valid is not None:
        nothing_else = tf.logical_and(nothing_else, valid)
    if dropout is not None:
        value *= dropout.own_factors(shapes.sizes(value)[1], value.dtype)[..., None]
    return tf.where(nothing_else[..., None], value, output)


def _merge(
    output: tf.Tensor, log_sum_exp: tf.Tensor, part: tf.Tensor, part_sum: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """One softmax of two that share no pair: outputs `[N, L, D]` weighed by their log-sum-exps `[N, L]`."""
    largest = tf.maximum(log_sum_exp, part_sum)
    merged = largest + tf.math.log(tf.exp(log_sum_exp - largest) + tf.exp(part_sum - largest))
    output *= tf.exp(log_sum_exp - merged)[..., None]
    return output + part * tf.exp(part_sum - merged)[..., None], merged


class _Rounds:
    """Forward and backward of each round, over groups of blocks. Arguments as `windowed_attention` has them."""

    def __init__(
        self,
        query: tf.Tensor,
        orders: Sequence[Order],
        window: Window,
        segments: tf.Tensor | None,
        dropout: PairDropout | None,
    ):
        count, length, self.size = shapes.sizes(query)
        self.statistics = shapes.statistics_dtype(query.dtype)
        self.dtype = query.dtype
        self.window = window
        self.dropout = dropout
        self.layout = Layout(count, length, window.chunk_length, window.causal)
        self.places = [self.layout.place(order) for order in orders]
        # What a round must know of a token: its u in this round and in all before, its segment, its position.
        tags = [order.u for order in orders]
        self.segment_tag = len(orders) if segments is not None else None
        if segments is not None:
            tags.append(segments)
        if dropout is not None:
            tags.append(tf.broadcast_to(tf.range(length), tf.shape(orders[0].u)))
        self.tags = tf.stack(tags, axis=-1)

    def forward(self, index: int, packed: tf.Tensor, after: list[tf.Tensor]) -> list[tf.Tensor]:
        """Output `[N, L, D]` and log-sum-exp `[N, L]` of one round, in the statistics dtype.

        Args:
            index: of the round.
            packed: query, key and value `[N, L, 3 D]`.
            after: what must be done before, so that the rounds' temporary tensors are not alive together.
        """
        place = self.places[index]

        def group(rows: list[tf.Tensor]) -> list[tf.Tensor]:
            queries, keys = self.layout.queries_and_keys(rows)
            visible, keep = self._conditions(index, queries[1], keys[1])
            query, _, _ = self._unpack(queries[0])
            _, key, value = self._unpack(keys[0])
            return list(blocks.attend(query, key, value, visible, keep))

        with tf.control_dependencies(after):
            sources = self._sorted(packed, index)
        widths = [(self.statistics, [self.size]), (self.statistics, [])]
        return [self.layout.unsort(x, place) for x in self.layout.over_groups(group, sources, widths)]

    def backward(
        self, index: int, packed: tf.Tensor, scalars: tf.Tensor, upstream: tf.Tensor, after: list[tf.Tensor]
    ) -> tf.Tensor:
        """One round's part of the gradient of query, key and value, `[N, L, 3 D]` in the statistics dtype.

        Args:
            index: of the round.
            packed: query, key and value `[N, L, 3 D]`.
            scalars: log-sum-exp of the union and delta (see `blocks.attend_gradient`), `[N, L, 2]`.
            upstream: gradient of the output, `[N, L, D]`.
            after: what must be done before.
        """
        place = self.places[index]

        def group(rows: list[tf.Tensor]) -> list[tf.Tensor]:
            queries, keys = self.layout.queries_and_keys(rows)
            visible, keep = self._conditions(index, queries[1], keys[1])
            query, _, _ = self._unpack(queries[0])
            _, key, value = self._unpack(keys[0])
            log_sum_exp, delta = tf.unstack(queries[2], axis=-1)
            d_query, d_key, d_value = blocks.attend_gradient(
                query, key, value, visible, keep, log_sum_exp, delta, queries[3]
            )
            return [d_query, self.layout.fold(tf.concat([d_key, d_value], axis=-1))]

        with tf.control_dependencies([upstream, *after]):
            sources = self._sorted(packed, index)
            sources += [self.layout.sort(scalars, place), self.layout.sort(upstream, place)]
        widths = [(self.dtype, [self.size]), (self.dtype, [2 * self.size])]
        d_query, d_window = self.layout.over_groups(group, sources, widths, folded=(1,))
        return tf.cast(self.layout.unsort(tf.concat([d_query, d_window], axis=-1), place), self.statistics)

    def _sorted(self, packed: tf.Tensor, index: int) -> list[tf.Tensor]:
        place = self.places[index]
        return [self.layout.sort(packed, place), self.layout.sort(self.tags, place, fill=ordering.NOWHERE)]

    def _unpack(self, packed: tf.Tensor) -> list[tf.Tensor]:
        return tf.split(packed, 3, axis=-1)

    def _conditions(self, index: int, query_tags: tf.Tensor, key_tags: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Which pairs of a group count in this round, and their dropout factors, `[G, N, Q, W]`."""
        chunk_length, causal, exclude_self = self.window
        met = [
            ordering.near(query_tags[..., r], key_tags[..., r], chunk_length, causal, exclude_self)
            for r in range(index + 1)
        ]
        visible = met[-1]
        for earlier in met[:-1]:
            visible = tf.logical_and(visible, tf.logical_not(earlier))
        if self.segment_tag is not None:
            same = query_tags[..., :, None, self.segment_tag] == key_tags[..., None, :, self.segment_tag]
            visible = tf.logical_and(visible, same)
        if self.dropout is None:
            return visible, None
        return visible, self.dropout.factors(query_tags[..., -1], key_tags[..., -1], self.statistics)
