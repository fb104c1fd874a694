"""Attention that computes the logits of all pairs of tokens; a pattern says which pairs count.

It serves full attention, and windows on short sequences, where all pairs cost less than sorting and blocks. Queries
come in slices, one after another, so that memory grows linearly with the length, in training too: the gradient is
written by hand and computes the probabilities again from the log-sum-exp.
"""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from reformer_tf.ops import shapes
from reformer_tf.ops.attention import block, ordering
from reformer_tf.ops.attention.pair_dropout import PairDropout
from reformer_tf.ops.attention.patterns import AllTokens, Pattern
from reformer_tf.ops.attention.windows import BucketWindow
from reformer_tf.ops.execution import budgets, compiled_functions, index_ranges, scopes
from reformer_tf.ops.execution.sequence_slices import SequenceSlices


def always(all_pairs: bool | None) -> contextlib.AbstractContextManager[None]:
    """Forces or forbids all pairs in place of windows inside, for tests and measurements."""
    return scopes.holding(scopes.all_pairs, all_pairs)


def is_cheaper(length: shapes.Size, window: BucketWindow, rounds: int) -> Any:
    """Whether all pairs of a sequence cost less than the pairs in the windows of all rounds.

    Args:
        length: L.
        window: what a token sees in a round.
        rounds: the number of rounds.

    Returns:
        A boolean, or a boolean scalar tensor if the length is a tensor.
    """
    if (forced := scopes.all_pairs.get()) is not None:
        return forced
    budget = budgets.current()
    percent = budget.all_pairs_percent + rounds * budget.all_pairs_percent_a_round
    # The length stands alone: a product with it could leave the range of int32.
    longest = percent * rounds * window.chunk_length * len(window.shifts) // 100
    return length <= min(longest, tf.int32.max)


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
    """Attends to every token.

    Args:
        query: `[B, L, H, D]`, scaled; see `all_pairs_attention`.
        key: `[B, L, H, D]`.
        value: `[B, L, H, D]`.
        valid: boolean `[N, L]`, False for masked tokens, or None.
        causal: whether a token sees no later token.
        exclude_self: whether a token sees itself only when it sees nothing else.
        segments: int32 `[N, L]` or None.
        dropout: of the attention probabilities, or None.

    Returns:
        `[B, L, H, D]`, see `all_pairs_attention`.
    """
    positions = _positions(query, valid)
    pattern = AllTokens(causal, exclude_self, masked=valid is not None)
    return all_pairs_attention(query, key, value, [positions], pattern, segments, dropout)


def cross_attention(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    valid: tf.Tensor | None,
    key_valid: tf.Tensor | None,
    dropout: PairDropout | None = None,
) -> tf.Tensor:
    """Attends to every token of another sequence.

    Args:
        query: `[B, L, H, D]`, scaled; see `all_pairs_attention`.
        key: `[B, S, H, D]`.
        value: `[B, S, H, D]`.
        valid: boolean `[N, L]`, False for masked tokens, or None.
        key_valid: boolean `[N, S]`, False for masked tokens of the other sequence, or None.
        dropout: of the attention probabilities, or None.

    Returns:
        `[B, L, H, D]`, see `all_pairs_attention`.
    """
    pattern = AllTokens(causal=False, exclude_self=False, masked=not (valid is None and key_valid is None))
    tags, key_tags = [_positions(query, valid)], [_positions(key, key_valid)]
    return all_pairs_attention(query, key, value, tags, pattern, dropout=dropout, key_tags=key_tags)


def _positions(x: tf.Tensor, valid: tf.Tensor | None) -> tf.Tensor:
    """The positions of the tokens of `[B, L, H, D]`, `[1, L]` or `[N, L]`; `ordering.NOWHERE` for masked ones."""
    positions = index_ranges.below(shapes.sizes(x)[1])[None]
    return positions if valid is None else tf.where(valid, positions, ordering.NOWHERE)


def all_pairs_attention(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    tags: Sequence[tf.Tensor],
    pattern: Pattern,
    segments: tf.Tensor | None = None,
    dropout: PairDropout | None = None,
    key_tags: Sequence[tf.Tensor] | None = None,
) -> tf.Tensor:
    """Attends to every token that a pattern makes visible.

    Args:
        query: `[B, L, H, D]`, scaled. There are N = B * H sequences.
        key: `[B, L, H, D]`; with `key_tags` S in place of L, as in `value`.
        value: `[B, L, H, D]`.
        tags: int32 `[N, L]` (or 1 in place of N), as the pattern has them; `ordering.NOWHERE` for masked tokens.
        pattern: which pairs count.
        segments: int32 `[N, L]`; tokens of different segments do not see each other. Or None.
        dropout: of the attention probabilities, or None.
        key_tags: int32 `[N, S]`, the tags of keys that belong to another sequence; None if the tags are those of both.

    Returns:
        `[B, L, H, D]` in the dtype of `value`; zero where a token is masked or sees nothing.
    """
    heads, shape = shapes.sizes(query)[2], query.shape
    query, key, value = (shapes.by_sequence(x) for x in (query, key, value))

    def complete(tags: Sequence[tf.Tensor], x: tf.Tensor) -> list[tf.Tensor]:
        complete = [*tags, *([] if segments is None else [segments])]
        return complete if dropout is None else [*complete, index_ranges.below(shapes.sizes(x)[1])[None]]

    of_queries = complete(tags, query)
    of_keys = of_queries if key_tags is None else complete(key_tags, key)
    pairs = _Pairs(pattern, segments is not None, None if dropout is None else dropout.rate)
    keys = _Keys(key, value, of_keys)
    output, statistic = _attend(query, of_queries, keys, pairs, None if dropout is None else dropout.keys)
    if pattern.exclude_self:
        keep = None if dropout is None else dropout.own_factors(shapes.sizes(value)[1], value.dtype)
        valid = None
        if pattern.masked:  # Either all tags of a token are `NOWHERE`, or none is.
            valid = tf.reshape(tags[0], [*shapes.sizes(tags[0])[:2], -1])[..., 0] != ordering.NOWHERE
        output = block.attend_to_self(output, statistic, value, valid, keep)
    return tf.ensure_shape(shapes.by_position(output, heads), shape)


class _Pairs(NamedTuple):
    """The description of pairs besides their tensors.

    Attributes:
        pattern: which pairs count.
        segmented: whether the segment is a tag, after those of the pattern.
        dropout_rate: of the attention probabilities, or None. The last tag is then the position.
    """

    pattern: Pattern
    segmented: bool
    dropout_rate: float | None

    def part(self, query: tf.Tensor, tags: Sequence[tf.Tensor], keys: "_Keys", dropout: tf.Tensor | None) -> block.Part:
        """The keys that a slice of queries looks at, with which pairs count, and how."""
        query_tags, key_tags = list(tags), list(keys.tags)
        keep = None
        if self.dropout_rate is not None:
            positions = (query_tags.pop(), key_tags.pop())
            statistics = shapes.statistics_dtype(query.dtype)
            keep = PairDropout(self.dropout_rate, dropout).factors(*positions, statistics)
        same = None
        if self.segmented:
            same = query_tags.pop()[..., :, None] == key_tags.pop()[..., None, :]
        visible = self.pattern.visible(query_tags, key_tags)
        visible = visible if same is None else tf.logical_and(visible, same)
        return block.Part(keys.key, keys.value, block.Pairs(visible, keep))


class _Keys(NamedTuple):
    """Keys `[N, W, D]`, their values `[N, W, D]` and tags `[N, W]` (or 1 in place of N)."""

    key: tf.Tensor
    value: tf.Tensor
    tags: Sequence[tf.Tensor]


def _forward(pairs: _Pairs) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    """Makes the function that computes outputs `[N, Q, D]` and statistics `[N, Q]` of a slice of queries.

    Its arguments are the queries `[N, Q, D]`, their tags, the keys, and the keys of dropout or None. The statistic is
    the log-sum-exp, or the second result of `block.attend_to_all`; it is needed by the gradient, and `block.FLOOR` if a
    query sees nothing.
    """

    def attend(
        query: tf.Tensor, tags: Sequence[tf.Tensor], keys: _Keys, dropout: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        part = pairs.part(query, tags, keys, dropout)
        if block.has_fast_softmax(query, part.pairs):
            return block.attend_to_all(query, part)
        return block.attend(query, [part])

    return attend


def _backward(pairs: _Pairs) -> Callable[..., list[tf.Tensor]]:
    """Makes the function that computes gradients of a slice of queries, and its part of those of keys and values.

    Its arguments are those of `_forward`, and the slice's statistic `[N, Q]`, delta `[N, Q]` and gradient of the output
    `[N, Q, D]`, see `block.attend_gradient`.
    """

    def attend_gradient(
        query: tf.Tensor, tags: Sequence[tf.Tensor], keys: _Keys, dropout: tf.Tensor | None, *own: tf.Tensor
    ) -> list[tf.Tensor]:
        statistics = shapes.statistics_dtype(query.dtype)
        part = pairs.part(query, tags, keys, dropout)
        if block.has_fast_softmax(query, part.pairs):
            return list(block.attend_to_all_gradient(query, part, *own))
        d_query, (d_key,), (d_value,) = block.attend_gradient(query, [part], *own)
        return [tf.cast(d_query, query.dtype), *(tf.cast(x, statistics) for x in (d_key, d_value))]

    return attend_gradient


def _attend(
    query: tf.Tensor, tags: Sequence[tf.Tensor], keys: _Keys, pairs: _Pairs, dropout_keys: tf.Tensor | None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Attends with all queries `[N, L, D]`, whose tags are `[N, L]`.

    The output is `[N, L, D]`, the statistic (see `_forward`) `[N, L]`.
    """
    statistics = shapes.statistics_dtype(keys.value.dtype)
    count, length, size = shapes.sizes(query)
    number = shapes.sizes(keys.key)[1]
    most = budgets.current().all_pairs_bytes // (4 * shapes.maximum(number, 1))
    slices = SequenceSlices(count, length, most)
    # XLA's products in half precision are slow on CPU.
    pays = query.dtype == statistics and compiled_functions.worth_compiling(count * length * number)
    forward, backward = (compiled_functions.compiled(make, pairs, pays=pays) for make in (_forward, _backward))
    # The tags of queries are sliced like the queries themselves.
    own_tags = [slices.prepared(tag) for tag in tags]

    def slice_tags(index: shapes.Size) -> list[tf.Tensor]:
        return [slices.take(tag, index) for tag in own_tags]

    saved_budgets = budgets.saved()

    @tf.custom_gradient
    def attend(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor) -> tuple[tuple[tf.Tensor, tf.Tensor], Callable]:
        # Without it, an outer tape of eager mode would record the operations inside.
        query, key, value = (tf.stop_gradient(x) for x in (query, key, value))
        queries, own_keys = slices.prepared(query), _Keys(key, value, keys.tags)

        def attend_block(index: shapes.Size, arrays: list) -> list:
            results = forward(slices.take(queries, index), slice_tags(index), own_keys, dropout_keys)
            return [array.write(index, result) for array, result in zip(arrays, results, strict=True)]

        arrays = [slices.empty(statistics, shape, query) for shape in ([size], [])]
        output, statistic = (slices.join(array) for array in slices.sweep(attend_block, arrays))

        def gradient(upstream: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            delta = tf.reduce_sum(tf.cast(upstream, statistics) * output, axis=-1)
            # The padding of the last slice has zero logits and a zero gradient.
            prepared = [slices.prepared(x) for x in (statistic, delta, upstream)]

            def block_gradient(index: shapes.Size, state: list) -> list:
                d_queries, *totals = state
                own = [slices.take(x, index) for x in prepared]
                d_query, *parts = backward(slices.take(queries, index), slice_tags(index), own_keys, dropout_keys, *own)
                totals = [part if total is None else total + part for total, part in zip(totals, parts, strict=True)]
                return [d_queries.write(index, d_query), *totals]

            with saved_budgets():
                state: list[Any] = [slices.empty(query.dtype, [size], upstream)]
                state += [None if slices.is_single else tf.zeros_like(x, statistics) for x in (key, value)]
                d_queries, d_key, d_value = slices.sweep(block_gradient, state)
                return slices.join(d_queries), tf.cast(d_key, key.dtype), tf.cast(d_value, value.dtype)

        return (tf.cast(output, value.dtype), statistic), gradient

    return attend(query, keys.key, keys.value)
