"""The attention core of windows: in each round tokens are sorted and queries attend to a window; rounds merge exactly.

The merged result is one softmax over the pairs of all rounds. In bucket windows every pair counts only in the first
round in which it meets, so the result is a softmax over the union of all windows (the paper, equation 3 and appendix A,
counts pairs repeatedly and corrects that by `log N_ij`); in chunk windows a pair counts as often as it meets.

The steps (paper, section 2 and figure 2), and the concept of each:

1. sort: a `SortedOrder` for each round has the tokens by (bucket, position), and tells which are near each other;
2. block: `Blocks` cuts the sorted tokens in blocks of C; `_over_groups` computes a group of blocks at a time;
3. window: a `Window` says which blocks a block of queries looks at, and which pairs count; `PairDropout` drops some;
4. softmax: a `Group` of blocks attends, and gives its log-sum-exp, too; compiled where that pays;
5. merge: `Rounds`, which `_forward` and `_backward` share, weighs the rounds by their log-sum-exps;
6. gradient: `_backward` computes the probabilities of each round again, from the log-sum-exp of all rounds. What was
   gathered in a sorted order is gathered back by its inverse, so no scatter is needed.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from reformer_tf.ops import shapes
from reformer_tf.ops.attention import block, ordering
from reformer_tf.ops.attention.blocks import Pass
from reformer_tf.ops.attention.ordering import SortedOrder
from reformer_tf.ops.attention.pair_dropout import PairDropout
from reformer_tf.ops.attention.rounds import Rounds
from reformer_tf.ops.attention.windows import Window
from reformer_tf.ops.execution import barriers, budgets, loops


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
    if callable(key) and budgets.on_accelerator():
        key = key(query)  # Once for all rounds, which are computed together there.
    rounds = Rounds.prepared(query, key if callable(key) else None, sorted_orders, window, segments, dropout)

    saved_budgets = budgets.saved()

    @tf.custom_gradient
    def apply(*inputs: tf.Tensor) -> tuple[Any, Callable]:
        # Without it, an outer tape of eager mode would record the operations inside.
        vectors = [tf.stop_gradient(x) for x in inputs]
        output, log_sum_exp = _forward(rounds, vectors)

        def gradient(upstream: tf.Tensor, _: tf.Tensor) -> list[tf.Tensor]:
            with saved_budgets():
                return _backward(rounds, vectors, output, log_sum_exp, upstream)

        return (output, log_sum_exp), gradient

    output, log_sum_exp = apply(query, value) if callable(key) else apply(query, key, value)
    if not window.exclude_self or window.penalises_self:
        return output
    length, heads = shapes.sizes(query)[1:3]
    valid = shapes.by_position(sorted_orders[0].sort_keys != ordering.NOWHERE, heads)
    keep = None if dropout is None else shapes.by_position(dropout.own_factors(length, value.dtype), heads)
    return block.attend_to_self(output, log_sum_exp, value, valid, keep)


def _forward(rounds: Rounds, vectors: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    """Attends in one pass after another, and merges the rounds into one softmax.

    Args:
        rounds: what is computed.
        vectors: queries, keys (unless they are made from queries) and values, `[B, L, H, D]` each.

    Returns:
        Output `[B, L, H, D]` in the dtype of values, and log-sum-exp `[B, L, H]` in the statistics dtype.
    """
    passes, size = rounds.blocks.passes, vectors[0].shape[-1]
    results = [_Result(rounds.output_dtype, [size]), _Result(rounds.statistics, [])]
    merged: list[tuple[tf.Tensor, tf.Tensor]] = []
    for this_pass in passes:
        # One pass is computed after the other, so that their temporary tensors are not alive together.
        with tf.control_dependencies([output for output, _ in merged]):
            query, keys = rounds.sources(vectors)
        outputs, log_sum_exps = _over_groups(rounds, this_pass, rounds.attend, [query], keys, results)
        dtype = vectors[-1].dtype if this_pass is passes[-1] else rounds.statistics
        merged = [rounds.merge([*merged, *zip(outputs, log_sum_exps, strict=True)], dtype)]
    output, log_sum_exp = merged[0]
    return _written_as_rows(output), log_sum_exp


def _written_as_rows(output: tf.Tensor) -> tf.Tensor:
    """The same merged output `[B, L, H, D]`, which a TPU's program writes once, as rows.

    Its compiler would give it the layout that suits what reads it, copy the output of each round to that in float32,
    and merge in the other layout, too.
    """
    if budgets.device_kind() != "TPU":
        return output
    (rows,) = barriers.behind(shapes.flat(output, 3))
    return tf.reshape(rows, shapes.sizes(output))


def _backward(
    rounds: Rounds, vectors: Sequence[tf.Tensor], output: tf.Tensor, log_sum_exp: tf.Tensor, upstream: tf.Tensor
) -> list[tf.Tensor]:
    """Computes the gradients of the vectors, `[B, L, H, D]` each, in one pass after another, and adds them up.

    Args:
        rounds: as in `_forward`.
        vectors: as in `_forward`.
        output: that of `_forward`.
        log_sum_exp: that of `_forward`; with it, the probabilities of each round are those of the merged softmax.
        upstream: gradient of the output, `[B, L, H, D]`.
    """
    passes, size = rounds.blocks.passes, vectors[0].shape[-1]
    (upstream,) = barriers.behind(upstream)  # A TPU's compiler would hold it in float32, too.
    # Gradients of keys, and of queries that keys are made from, fall on the blocks beside a group, too.
    spreads = [rounds.has_made_keys, *(True for _ in vectors[1:])]
    results = [_Result(x.dtype, [size], beside) for x, beside in zip(vectors, spreads, strict=True)]
    statistics = [log_sum_exp, rounds.delta(output, upstream), upstream]
    totals: list[list[tf.Tensor]] = [[] for _ in vectors]
    for this_pass in passes:
        with tf.control_dependencies([upstream, *(x for total in totals for x in total)]):
            query, keys = rounds.sources(vectors)
            queries = [query, *(shapes.flat(x, 3) for x in statistics)]
        gradients = _over_groups(rounds, this_pass, rounds.attend_gradient, queries, keys, results)
        totals = [
            [rounds.total([*total, *gradient], x.dtype if this_pass is passes[-1] else rounds.statistics)]
            for total, gradient, x in zip(totals, gradients, vectors, strict=True)
        ]
    return [tf.cast(total, x.dtype) for (total,), x in zip(totals, vectors, strict=True)]


class _Result(NamedTuple):
    """A result of a group, `[G, N, C, *sizes]`; or `[before + G + after, N, C, *sizes]`, if it spreads."""

    dtype: tf.DType
    sizes: list[int]
    spreads: bool = False


def _over_groups(
    rounds: Rounds,
    this_pass: Pass,
    attend: Callable[..., list[tf.Tensor]],
    queries: Sequence[tf.Tensor],
    keys: Sequence[tf.Tensor],
    results: Sequence[_Result],
) -> list[list[tf.Tensor]]:
    """Computes one group of blocks after another, so that rows and logits of few blocks are alive at a time.

    Args:
        rounds: what is computed.
        this_pass: the pass.
        attend: as `block_group.forward` or `block_group.backward` make it.
        queries: `[B * L * H, ...]`, from which a group needs the rows of its own blocks.
        keys: from which it needs those of the blocks beside it, too.
        results: what `attend` returns. What spreads on blocks beside a group is added to theirs.

    Returns:
        Each result for each round of the pass, by position: `[B, L, H, *sizes]`.
    """
    blocks, neighbors = rounds.blocks, rounds.blocks.neighbors

    def tags(rows: tf.Tensor) -> tf.Tensor:
        return tf.gather(blocks.tags, rows)[..., : this_pass.tags]

    def step(index: shapes.Size, arrays: list[list[loops.Array]]) -> list[list[loops.Array]]:
        first, count = index * blocks.group, neighbors.before + blocks.group + neighbors.after
        tokens = shapes.cut(this_pass.tokens, first, count)
        # A slot without a token repeats one of its own sequence, which is finite if that is; its tags are the last.
        rows = tf.maximum(tokens, 0) * blocks.heads + blocks.first_rows
        tag_rows = tf.where(tokens < 0, blocks.count * blocks.length, tokens + blocks.first_tag_rows)
        seen_rows, own_rows = neighbors.seen(rows), neighbors.cut(rows, 0)
        seen = [*(tf.gather(x, seen_rows) for x in keys), tags(neighbors.seen(tag_rows))]
        if neighbors.joined:
            own_tags, (query, *rest) = tags(neighbors.cut(tag_rows, 0)), (tf.gather(x, own_rows) for x in queries)
        else:  # What is there already is not gathered again: tags, and rows of queries that keys are made from.
            own_tags = neighbors.cut(seen[-1], 0)
            query, *rest = (neighbors.cut(seen[0], 0) if x is keys[0] else tf.gather(x, own_rows) for x in queries)
        found = attend([query, blocks.own_tags(own_tags, first), *rest], seen, rounds.dropout_keys)
        found = [tf.cast(x, result.dtype) for x, result in zip(found, results, strict=True)]
        parts = [neighbors.split(x) if len(array) > 1 else [x] for x, array in zip(found, arrays, strict=True)]
        return [
            [a.write(index, x) for a, x in zip(array, part, strict=True)]
            for array, part in zip(arrays, parts, strict=True)
        ]

    def empty(result: _Result) -> list[loops.Array]:
        counts = [neighbors.before, blocks.group, neighbors.after] if result.spreads else [blocks.group]
        sizes = [blocks.count, blocks.window.chunk_length, *result.sizes]
        return [loops.array(result.dtype, blocks.groups, [count, *sizes], queries[-1]) for count in counts]

    arrays = loops.count_up(blocks.groups, step, [empty(result) for result in results], parallel_iterations=2)
    sorted_results = [
        blocks.add_up(*(a.stack() for a in array)) if len(array) > 1 else loops.concatenated(array[0])
        for array in arrays
    ]
    flat = [shapes.flat(x, 3) for x in sorted_results]
    return [[tf.gather(x, back) for back in this_pass.back] for x in flat]


def normalised(query: tf.Tensor) -> tf.Tensor:
    """Makes keys from queries `[..., D]`: divides these by their norm, and by `sqrt(D)` to scale logits."""
    # In at least float32: the mean square of small half-precision vectors would vanish.
    wide = tf.cast(query, shapes.statistics_dtype(query.dtype))
    mean_square = tf.reduce_mean(tf.square(wide), axis=-1, keepdims=True)
    return tf.cast(wide * tf.math.rsqrt((mean_square + 1e-6) * query.shape[-1]), query.dtype)
