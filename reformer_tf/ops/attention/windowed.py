"""The attention core of windows: in each round tokens are sorted and queries attend to a window; rounds merge exactly.

The merged result is one softmax over the pairs of all rounds. In bucket windows every pair counts only in the first
round in which it meets, so the result is a softmax over the union of all windows (the paper, equation 3 and appendix A,
counts pairs repeatedly and corrects that by `log N_ij`); in chunk windows a pair counts as often as it meets. The
gradient is written by hand: in each round the probabilities are rebuilt from the saved log-sum-exp of all rounds, and
rows gathered in a sorted order are gathered back by its inverse, so no scatter is needed.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from reformer_tf.ops import shapes
from reformer_tf.ops.attention import block, block_layout, half_precision_group, ordering
from reformer_tf.ops.attention.block_group import Group
from reformer_tf.ops.attention.block_layout import Layout, Source
from reformer_tf.ops.attention.ordering import SortedOrder
from reformer_tf.ops.attention.pair_dropout import PairDropout
from reformer_tf.ops.attention.windows import Window
from reformer_tf.ops.execution import compiled_functions


def windowed_attention(
    query: tf.Tensor,
    key: tf.Tensor | Callable[[tf.Tensor], tf.Tensor],
    value: tf.Tensor,
    sorted_orders: Sequence[SortedOrder],
    window: Window,
    segments: tf.Tensor | None = None,
    dropout: PairDropout | None = None,
) -> tf.Tensor:
    """Attends within the windows of several sorted orders.

    Args:
        query: `[B, L, H, D]`, scaled. There are N = B * H sequences.
        key: `[B, L, H, D]`; or a module-level function such as `normalised` that makes keys from queries row by row.
            With shared queries and keys that saves gathering the keys and their gradient.
        value: `[B, L, H, D]`.
        sorted_orders: of the N sequences, one for each round, see `reformer_tf.ops.attention.ordering`.
        window: what a query sees.
        segments: int32 `[N, L]`; tokens of different segments do not see each other. Or None.
        dropout: of the attention probabilities, or None.

    Returns:
        `[B, L, H, D]` in the dtype of `value`; zero where a token is masked or sees nothing.
    """
    rounds = _Rounds(query, key if callable(key) else None, sorted_orders, window, segments, dropout)

    @tf.custom_gradient
    def attend(*inputs: tf.Tensor) -> tuple[Any, Callable]:
        # Without it, an outer tape of eager mode would record the operations inside.
        vectors = [tf.stop_gradient(x) for x in inputs]
        parts: list[tuple[tf.Tensor, tf.Tensor]] = []
        for index in range(rounds.passes):
            found = rounds.forward(index, vectors, [part for part, _ in parts])
            parts = [rounds.merge([*parts, *found], rounds.statistics if index + 1 < rounds.passes else value.dtype)]
        ((output, log_sum_exp),) = parts

        def gradient(upstream: tf.Tensor, _: tf.Tensor) -> list[tf.Tensor]:
            scalars = (log_sum_exp, rounds.delta(output, upstream))
            totals = rounds.backward(0, vectors, scalars, upstream, [])
            for index in range(1, rounds.passes):
                gradients = rounds.backward(index, vectors, scalars, upstream, totals)
                last = index + 1 == rounds.passes
                totals = [
                    rounds.total(pair, x.dtype if last else rounds.statistics)
                    for *pair, x in zip(totals, gradients, vectors, strict=True)
                ]
            return [tf.cast(total, x.dtype) for total, x in zip(totals, vectors, strict=True)]

        return (output, log_sum_exp), gradient

    output, log_sum_exp = attend(query, value) if callable(key) else attend(query, key, value)
    if not window.exclude_self or window.penalises_self:
        return output
    length, heads = shapes.sizes(query)[1:3]
    valid = shapes.by_position(sorted_orders[0].sort_keys != ordering.NOWHERE, heads)
    keep = None if dropout is None else shapes.by_position(dropout.own_factors(length, value.dtype), heads)
    return block.attend_to_self(output, log_sum_exp, value, valid, keep)


def normalised(query: tf.Tensor) -> tf.Tensor:
    """Makes keys from queries `[..., D]`: divides these by their norm, and by `sqrt(D)` to scale logits."""
    # In at least float32: the mean square of small half-precision vectors would vanish.
    wide = tf.cast(query, shapes.statistics_dtype(query.dtype))
    mean_square = tf.reduce_mean(tf.square(wide), axis=-1, keepdims=True)
    return tf.cast(wide * tf.math.rsqrt((mean_square + 1e-6) * query.shape[-1]), query.dtype)


def _merging(dtype: tf.DType) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    """Makes the function that merges several softmaxes into one.

    It maps outputs `[B, L, H, D]` and log-sum-exps `[B, L, H]` to one output, in `dtype`, and one log-sum-exp.
    """

    def merge(parts: Sequence[tuple[tf.Tensor, tf.Tensor]]) -> tuple[tf.Tensor, tf.Tensor]:
        sums = [part_sum for _, part_sum in parts]
        largest = functools.reduce(tf.maximum, sums)
        log_sum_exp = largest + tf.math.log(tf.add_n([tf.exp(x - largest) for x in sums]))
        weighed = [tf.cast(part, x.dtype) * tf.exp(x - log_sum_exp)[..., None] for part, x in parts]
        return tf.cast(tf.add_n(weighed), dtype), log_sum_exp

    return merge


def _delta(statistics: tf.DType) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Makes the function that computes delta from outputs and their gradient, see `block.attend_gradient`."""
    return lambda output, upstream: tf.reduce_sum(tf.cast(upstream, statistics) * tf.cast(output, statistics), axis=-1)


def _sum(statistics: tf.DType, dtype: tf.DType) -> Callable[[Sequence[tf.Tensor]], tf.Tensor]:
    """Makes the function that sums tensors, with one rounding at the end."""
    return lambda parts: tf.cast(functools.reduce(tf.add, [tf.cast(part, statistics) for part in parts]), dtype)


class _Rounds:
    """Forward and backward computation, pass after pass, over groups of blocks. Arguments as in `windowed_attention`.

    A pass is one round, or all rounds together: one after another if blocks of one round see those of another, or side
    by side if there is little work, so that there are fewer operations.
    """

    def __init__(
        self,
        query: tf.Tensor,
        key: Callable[[tf.Tensor], tf.Tensor] | None,
        sorted_orders: Sequence[SortedOrder],
        window: Window,
        segments: tf.Tensor | None,
        dropout: PairDropout | None,
    ):
        batch, length, heads, self.size = shapes.sizes(query)
        self.statistics = shapes.statistics_dtype(query.dtype)
        self.dtype = query.dtype
        pairs = batch * heads * length * window.chunk_length * len(window.shifts)
        pays = compiled_functions.worth_compiling(pairs * len(sorted_orders) if window.wrap else pairs)
        beside = (
            not window.wrap
            and len(sorted_orders) > 1
            and pays is False
            and block_layout.is_ungrouped(pairs * len(sorted_orders))
        )
        laid_out = [sorted_orders] if window.wrap or beside else [[sorted_order] for sorted_order in sorted_orders]
        self.passes = len(laid_out)
        self.layout = Layout(
            batch,
            length,
            heads,
            window.chunk_length,
            window.shifts,
            rounds=len(sorted_orders) if window.wrap else 1,
            side_by_side=len(sorted_orders) if beside else 1,
            length_multiple=window.length_multiple,
            wrap=window.wrap,
            compiled=pays,
            split=self.dtype != self.statistics,
        )
        self.indices = [self.layout.indices(rounds) for rounds in laid_out]
        # The tags of a token: those of the window, its segment, its position.

        def for_rounds(x: tf.Tensor) -> tf.Tensor:
            """Repeats a tensor of N sequences for all rounds side by side."""
            return tf.concat([x] * len(sorted_orders), axis=0) if beside else x

        tags = window.tags_side_by_side(sorted_orders) if beside else window.tags(sorted_orders)
        segment_tag = len(tags) if segments is not None else None
        if segments is not None:
            tags.append(for_rounds(segments))
        if dropout is not None:
            tags.append(tf.broadcast_to(tf.range(length), tf.shape(tags[0])))
        tagged = shapes.by_position(tf.stack(tags, axis=-1), heads)
        self.tags = Source(_rows(tagged), fill=ordering.NOWHERE, per_round=beside)
        self.made_key = key is not None
        self.dropout_keys = None if dropout is None else for_rounds(dropout.keys)
        rate = None if dropout is None else dropout.rate
        # Functions for the gradient are made here too: TensorFlow calls the gradient after the scope that allows
        # compiling has exited.
        pays_along = compiled_functions.worth_compiling(batch * heads * length * self.size)
        self.compiled = {
            (make, *description): compiled_functions.compiled(make, *description, pays=pays_along)
            for make, *description in (
                *((_merging, dtype) for dtype in (self.dtype, self.statistics)),
                *((_sum, self.statistics, dtype) for dtype in (self.dtype, self.statistics)),
                (_delta, self.statistics),
            )
        }
        self.functions = []
        for index in range(self.passes):
            number = len(sorted_orders) - 1 if beside else index
            plain = Group(self.layout.neighbors, window, number, segment_tag, rate, self.statistics, key)
            self.functions.append(half_precision_group.functions(plain, pays, self.dtype))
        # Half-precision products give half-precision outputs.
        self.output_dtype = self.dtype if pays is not False else self.statistics

    def forward(
        self, index: int, vectors: list[tf.Tensor], after: list[tf.Tensor]
    ) -> list[tuple[tf.Tensor, tf.Tensor]]:
        """Computes output `[B, L, H, D]` and log-sum-exp `[B, L, H]` of each round of a pass.

        Log-sum-exps are in the statistics dtype, outputs in the dtype of products.

        Args:
            index: of the pass.
            vectors: query, key (unless it is made from the query) and value, `[B, L, H, D]` each.
            after: tensors that must be computed before, so that temporary tensors of several passes are not alive
                together.
        """
        indices = self.indices[index]
        with tf.control_dependencies(after):
            own, seen = self._sources(vectors)
        widths = [(self.output_dtype, [self.size]), (self.statistics, [])]
        output, log_sum_exp = self.layout.over_groups(
            lambda *rows: self.functions[index][0](*rows, self.dropout_keys), indices, own, seen, widths
        )
        return list(zip(self.layout.unsort(output, indices), self.layout.unsort(log_sum_exp, indices), strict=True))

    def backward(
        self,
        index: int,
        vectors: list[tf.Tensor],
        scalars: tuple[tf.Tensor, tf.Tensor],
        upstream: tf.Tensor,
        after: list[tf.Tensor],
    ) -> list[tf.Tensor]:
        """Computes one pass's part of the gradients of the vectors, `[B, L, H, D]`.

        Args:
            index: of the pass.
            vectors: query, key (unless it is made from the query) and value, `[B, L, H, D]` each.
            scalars: log-sum-exp of all rounds and delta (see `block.attend_gradient`), `[B, L, H]` each.
            upstream: gradient of the output, `[B, L, H, D]`.
            after: tensors that must be computed before.
        """
        indices = self.indices[index]
        with tf.control_dependencies([upstream, *after]):
            own, seen = self._sources(vectors)
            # A large log-sum-exp makes all probabilities of a row zero.
            own.append(Source(_rows(scalars[0]), own_fill=-block.FLOOR))
            own += [Source(_rows(scalars[1])), Source(_rows(upstream))]
        gradients = self.layout.over_groups(
            lambda *rows: self.functions[index][1](*rows, self.dropout_keys),
            indices,
            own,
            seen,
            [(self.dtype, [self.size])] * len(vectors),
            folded=(0, 1) if self.made_key else (1, 2),
        )
        return [self.total(self.layout.unsort(gradient, indices), self.statistics) for gradient in gradients]

    def merge(self, parts: Sequence[tuple[tf.Tensor, tf.Tensor]], dtype: tf.DType) -> tuple[tf.Tensor, tf.Tensor]:
        """Merges several results of `forward` to one output, in `dtype`, and one log-sum-exp."""
        if len(parts) == 1:
            return tf.cast(parts[0][0], dtype), parts[0][1]
        return self.compiled[_merging, dtype](parts)

    def delta(self, output: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
        """Computes delta, see `block.attend_gradient`."""
        return self.compiled[_delta, self.statistics](output, upstream)

    def total(self, parts: Sequence[tf.Tensor], dtype: tf.DType) -> tf.Tensor:
        """Sums tensors, in a dtype; a single tensor is returned unchanged."""
        return parts[0] if len(parts) == 1 else self.compiled[_sum, self.statistics, dtype](parts)

    def _sources(self, vectors: list[tf.Tensor]) -> tuple[list[Source], list[Source]]:
        """The sources of queries, and those of the keys that they look at."""
        # Identities carry the control dependencies of the scope around: no source is read before these are computed.
        query, *rest = (Source(_rows(tf.identity(x))) for x in vectors)
        seen = [query, *rest] if self.made_key else rest
        return [query, self.tags], [*seen, self.tags]


def _rows(x: tf.Tensor) -> tf.Tensor:
    """`[B, L, H, ...]` to `[B * L * H, ...]`."""
    return tf.reshape(x, [-1, *shapes.sizes(x)[3:]])
