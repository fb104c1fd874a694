"""What forward and backward pass of several rounds share: their blocks, and the functions that compute them."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from reformer_tf.ops import shapes, sums
from reformer_tf.ops.attention import block_group, half_precision_group, whole_window_group
from reformer_tf.ops.attention.blocks import Blocks
from reformer_tf.ops.attention.ordering import SortedOrder
from reformer_tf.ops.attention.pair_dropout import PairDropout
from reformer_tf.ops.attention.windows import Window
from reformer_tf.ops.execution import budgets, compiled_functions, index_ranges, loops


class Rounds(NamedTuple):
    """All that the computation of rounds needs besides vectors.

    The functions are compiled where that pays. All are made before the forward pass: TensorFlow calls the gradient
    after the scope that allows compiling has ended.

    Attributes:
        blocks: the arrangement of the rounds.
        has_made_keys: whether keys are made from queries.
        dropout_keys: uint32 `[N]`, or None.
        statistics: dtype of the softmax statistics.
        output_dtype: of the outputs of a group.
        attend: computes a group, see `block_group.forward`.
        attend_gradient: computes its gradient, see `block_group.backward`.
        delta: computes delta, see `block.attend_gradient`, from outputs and their gradient.
        merges: by dtype, merges several softmaxes into one, with the output in this dtype.
        totals: by dtype, adds several gradients, with one rounding to this dtype at the end.
    """

    blocks: Blocks
    has_made_keys: bool
    dropout_keys: tf.Tensor | None
    statistics: tf.DType
    output_dtype: tf.DType
    attend: Callable[..., list[tf.Tensor]]
    attend_gradient: Callable[..., list[tf.Tensor]]
    delta: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    merges: dict[tf.DType, Callable[..., tuple[tf.Tensor, tf.Tensor]]]
    totals: dict[tf.DType, Callable[..., tf.Tensor]]

    @classmethod
    def prepared(
        cls,
        query: tf.Tensor,
        key: Callable[[tf.Tensor], tf.Tensor] | None,
        sorted_orders: Sequence[SortedOrder],
        window: Window,
        segments: tf.Tensor | None,
        dropout: PairDropout | None,
    ) -> "Rounds":
        """Arranges rounds, and makes their functions. Arguments as those of `windowed.windowed_attention`."""
        sizes, dtype, statistics = shapes.sizes(query), query.dtype, shapes.statistics_dtype(query.dtype)
        tags = [] if segments is None else [segments]
        if dropout is not None:
            tags.append(tf.broadcast_to(index_ranges.below(sizes[1]), tf.shape(sorted_orders[0].sort_keys)))
        form = block_group if dtype == statistics else half_precision_group
        vector_bytes = 0
        if budgets.on_accelerator():
            form, vector_bytes = whole_window_group, query.shape[-1] * dtype.size
        blocks = Blocks(sizes[:3], form is half_precision_group, vector_bytes, sorted_orders, window, tags)
        rate, keys = (None, None) if dropout is None else (dropout.rate, blocks.for_rounds(dropout.keys))
        group = block_group.Group(blocks.neighbors, window, segments is not None, rate, statistics, key)
        pays = compiled_functions.worth_compiling(math.prod(sizes))

        def compiled(make: Callable[..., Callable], dtype: tf.DType) -> Callable:
            return compiled_functions.compiled(make, dtype, pays=pays)

        return cls(
            blocks,
            key is not None,
            keys,
            statistics,
            # Groups that are not compiled give outputs that are not rounded yet. In a program for an accelerator they
            # are written down for the merge, and rounded for that.
            statistics if blocks.compiled is False and not loops.in_accelerator_program() else dtype,
            form.forward(group, blocks.compiled),
            form.backward(group, blocks.compiled),
            compiled(_delta, statistics),
            {t: compiled(_merging, t) for t in (dtype, statistics)},
            {t: compiled(_adding, t) for t in (dtype, statistics)},
        )

    def sources(self, vectors: Sequence[tf.Tensor]) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """The rows `[B * L * H, D]` of queries, and of the keys and values that they look at."""
        # Identities carry the control dependencies of the scope around: nothing is read before these are computed.
        query, *rest = (shapes.flat(tf.identity(x), 3) for x in vectors)
        return query, [query, *rest] if self.has_made_keys else rest

    def merge(self, parts: Sequence[tuple[tf.Tensor, tf.Tensor]], dtype: tf.DType) -> tuple[tf.Tensor, tf.Tensor]:
        """Merges several softmaxes into one.

        Args:
            parts: outputs `[B, L, H, D]` and log-sum-exps `[B, L, H]`.
            dtype: of the output.
        """
        return (tf.cast(parts[0][0], dtype), parts[0][1]) if len(parts) == 1 else self.merges[dtype](parts)

    def total(self, parts: Sequence[tf.Tensor], dtype: tf.DType) -> tf.Tensor:
        """Adds gradients, in a dtype; a single one is returned unchanged."""
        return parts[0] if len(parts) == 1 else self.totals[dtype](parts)


def _merging(dtype: tf.DType) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    """Makes the function that weighs outputs by their log-sum-exps: one softmax over the pairs of all of them."""

    def merge(parts: Sequence[tuple[tf.Tensor, tf.Tensor]]) -> tuple[tf.Tensor, tf.Tensor]:
        largest = functools.reduce(tf.maximum, [x for _, x in parts])
        log_sum_exp = largest + tf.math.log(tf.add_n([tf.exp(x - largest) for _, x in parts]))
        weighed = [tf.cast(part, x.dtype) * tf.exp(x - log_sum_exp)[..., None] for part, x in parts]
        return tf.cast(tf.add_n(weighed), dtype), log_sum_exp

    return merge


def _delta(statistics: tf.DType) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    return lambda output, upstream: tf.reduce_sum(tf.cast(upstream, statistics) * tf.cast(output, statistics), axis=-1)


def _adding(dtype: tf.DType) -> Callable[[Sequence[tf.Tensor]], tf.Tensor]:
    return lambda parts: tf.cast(functools.reduce(tf.add, [sums.wide(part) for part in parts]), dtype)
