"""The one attention core: tokens in some orders, each query attending to a window in each, rounds merged exactly.

The merged result is one softmax over the pairs of all rounds. In bucket windows every pair counts in the first round in
whose window it meets, so that it is a softmax over the union of all windows (paper, equation 3 and appendix A, where
`log N_ij` corrects what is not counted twice here); in chunk windows a pair counts as often as it meets. The gradient
is written by hand: per round the probabilities are rebuilt from the saved log-sum-exp of all rounds, and what was
gathered in an order is gathered back by the inverse order, so no scatter is needed anywhere.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from reformer_tf.ops import blocks, ordering, shapes
from reformer_tf.ops.grouping import Layout
from reformer_tf.ops.ordering import Order
from reformer_tf.ops.pair_dropout import PairDropout
from reformer_tf.ops.windows import Window


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
        vectors = [tf.stop_gradient(x) for x in (query, key, value)]
        output, log_sum_exp = _merge(rounds.forward(0, vectors, []))
        for index in range(1, rounds.passes):
            parts = rounds.forward(index, vectors, [output])
            output, log_sum_exp = _merge([(output, log_sum_exp), *parts])

        def gradient(upstream: tf.Tensor, _: tf.Tensor) -> list[tf.Tensor]:
            delta = tf.reduce_sum(tf.cast(upstream, output.dtype) * output, axis=-1)
            scalars = (log_sum_exp, delta)
            totals = rounds.backward(0, vectors, scalars, upstream, [])
            for index in range(1, rounds.passes):
                slopes = rounds.backward(index, vectors, scalars, upstream, totals)
                totals = [total + slope for total, slope in zip(totals, slopes, strict=True)]
            return [tf.cast(total, x.dtype) for total, x in zip(totals, vectors, strict=True)]

        return (tf.cast(output, value.dtype), log_sum_exp), gradient

    output, log_sum_exp = attend(query, key, value)
    if not window.exclude_self or window.penalises_self:
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


def _merge(parts: Sequence[tuple[tf.Tensor, tf.Tensor]]) -> tuple[tf.Tensor, tf.Tensor]:
    """One softmax of several: outputs `[N, L, D]` weighed by their log-sum-exps `[N, L]`."""
    if len(parts) == 1:
        return parts[0]
    sums = [part_sum for _, part_sum in parts]
    largest = functools.reduce(tf.maximum, sums)
    log_sum_exp = largest + tf.math.log(tf.add_n([tf.exp(x - largest) for x in sums]))
    return tf.add_n([part * tf.exp(x - log_sum_exp)[..., None] for part, x in parts]), log_sum_exp


class _Rounds:
    """Forward and backward, pass after pass, over groups of blocks. Arguments as `windowed_attention` has them.

    A pass is a round, or all rounds together where blocks of one see those of another.
    """

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
        laid_out = [orders] if window.wrap else [[order] for order in orders]
        self.passes = len(laid_out)
        self.layout = Layout(
            count,
            length,
            window.chunk_length,
            window.shifts,
            rounds=len(laid_out[0]),
            length_multiple=window.length_multiple,
            wrap=window.wrap,
        )
        self.places = [self.layout.place(rounds) for rounds in laid_out]
        # What must be known of a token: what the window asks for, its segment, its position.
        tags = window.tags(orders)
        self.segment_tag = len(tags) if segments is not None else None
        if segments is not None:
            tags.append(segments)
        if dropout is not None:
            tags.append(tf.broadcast_to(tf.range(length), tf.shape(orders[0].u)))
        self.tags = tf.stack(tags, axis=-1)

    def forward(
        self, index: int, vectors: list[tf.Tensor], after: list[tf.Tensor]
    ) -> list[tuple[tf.Tensor, tf.Tensor]]:
        """Output `[N, L, D]` and log-sum-exp `[N, L]` of each round of a pass, in the statistics dtype.

        Args:
            index: of the pass.
            vectors: query, key and value, `[N, L, D]` each.
            after: what must be done before, so that the passes' temporary tensors are not alive together.
        """
        place = self.places[index]

        def group(rows: list[tf.Tensor]) -> list[tf.Tensor]:
            query, key, value, pairs = self._cut(index, rows)
            return list(blocks.attend(query, key, value, pairs))

        with tf.control_dependencies(after):
            sources = self._sorted(vectors, index)
        widths = [(self.statistics, [self.size]), (self.statistics, [])]
        output, log_sum_exp = self.layout.over_groups(group, sources, widths)
        return list(zip(self.layout.unsort(output, place), self.layout.unsort(log_sum_exp, place), strict=True))

    def backward(
        self,
        index: int,
        vectors: list[tf.Tensor],
        scalars: tuple[tf.Tensor, tf.Tensor],
        upstream: tf.Tensor,
        after: list[tf.Tensor],
    ) -> list[tf.Tensor]:
        """One pass's part of the gradients of query, key and value, `[N, L, D]` in the statistics dtype.

        Args:
            index: of the pass.
            vectors: query, key and value, `[N, L, D]` each.
            scalars: log-sum-exp of all rounds and delta (see `blocks.attend_gradient`), `[N, L]` each.
            upstream: gradient of the output, `[N, L, D]`.
            after: what must be done before.
        """
        place = self.places[index]

        def group(rows: list[tf.Tensor]) -> list[tf.Tensor]:
            query, key, value, pairs = self._cut(index, rows[:4])
            log_sum_exp, delta, upstream = (self.layout.queries(x) for x in rows[4:])
            d_query, d_key, d_value = blocks.attend_gradient(query, key, value, pairs, log_sum_exp, delta, upstream)
            return [d_query, self.layout.fold(d_key), self.layout.fold(d_value)]

        with tf.control_dependencies([upstream, *after]):
            sources = self._sorted(vectors, index)
            log_sum_exp, delta = (self.layout.sort(x, place) for x in scalars)
            # A large log-sum-exp makes all probabilities of a row zero.
            log_sum_exp = self.layout.only_own(log_sum_exp, fill=-blocks.FLOOR)
            sources += [log_sum_exp, delta, self.layout.sort(upstream, place)]
        slopes = self.layout.over_groups(group, sources, [(self.dtype, [self.size])] * 3, folded=(1, 2))
        return [
            tf.add_n([tf.cast(part, self.statistics) for part in self.layout.unsort(slope, place)]) for slope in slopes
        ]

    def _sorted(self, vectors: list[tf.Tensor], index: int) -> list[tf.Tensor]:
        place = self.places[index]
        tags = self.layout.sort(self.tags, place, fill=ordering.NOWHERE)
        return [*(self.layout.sort(x, place) for x in vectors), tags]

    def _cut(self, index: int, rows: list[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, blocks.Pairs]:
        """Blocks of queries, windows of keys and of values, and what is known of their pairs."""
        query, key, value, tags = rows
        pairs = self._pairs(index, self.layout.queries(tags), self.layout.windows(tags))
        return self.layout.queries(query), self.layout.windows(key), self.layout.windows(value), pairs

    def _pairs(self, index: int, query_tags: tf.Tensor, key_tags: tf.Tensor) -> blocks.Pairs:
        """Which pairs of a group count in this pass, and how."""
        visible = self.window.visible(index, query_tags, key_tags)
        if self.segment_tag is not None:
            same = query_tags[..., :, None, self.segment_tag] == key_tags[..., None, :, self.segment_tag]
            visible = tf.logical_and(visible, same)
        keep = None
        if self.dropout is not None:
            keep = self.dropout.factors(query_tags[..., -1], key_tags[..., -1], self.statistics)
        return blocks.Pairs(visible, keep, self.window.penalised(query_tags, key_tags))
