"""Causal attention by features: time linear in the length, memory of a group of chunks besides inputs and outputs.

Chunks of tokens come in groups, one group after another. The queries of a chunk see the sums of all keys before it
(`feature_sums`), which a sweep carries from group to group, and the keys inside it (`feature_pairs`).

Only the sums before each group are kept for the gradient, which computes features and other sums again. It sweeps
backwards: keys and values need the sums of the queries after them, as queries need those of the keys before. The
authors' code walks the sums back by subtracting each token, which loses more digits the longer the sequence is.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from reformer_tf.ops import shapes
from reformer_tf.ops.attention import feature_pairs, feature_sums, features
from reformer_tf.ops.attention.feature_sums import Sums, floor_unless
from reformer_tf.ops.execution import budgets, compiled_functions, loops
from reformer_tf.ops.execution.sequence_slices import SequenceSlices, SliceArray, packed

_VECTORS = ("query", "key", "value")

# Tokens of a chunk, where the sequence is not shorter. A token costs some 2 m P products for the sums of chunks, and
# m C / 2 in its chunk.
_CHUNK = 128


class Tokens(NamedTuple):
    """Tokens, with l for their number.

    Attributes:
        query: x of `features`, `[N, l, D]`, as key and value in at least float32.
        key: y of `features`, `[N, l, D]`.
        value: `[N, l, D]`.
        valid: boolean `[N, l]`, or with 1 in place of N.
        runs: int32 `[N, l]`, runs of segments, or None.
    """

    query: tf.Tensor
    key: tf.Tensor
    value: tf.Tensor
    valid: tf.Tensor
    runs: tf.Tensor | None


class _Kind(NamedTuple):
    """The description of a sweep besides its tensors.

    Attributes:
        features: a name of `features.FEATURE_MAPS`.
        own: whether a query sees its own key, too.
        group: the largest number of chunks in a group.
    """

    features: str
    own: bool
    group: int


def attend(tokens: Tokens, rows: tf.Tensor | None, name: str, own: bool) -> tuple[tf.Tensor, tf.Tensor]:
    """Attends to the tokens before each token.

    Args:
        tokens: L of them.
        rows: of the features, `[r, D]`, or None. No gradient flows to them.
        name: of the features.
        own: whether a token sees itself, too.

    Returns:
        Outputs `[N, L, D]`, and the logarithm of the sum of each query's weights `[N, L]`; zero and `FLOOR` for queries
        that see nothing. Both are meaningless for masked tokens.
    """
    chunks = _Chunks(tokens, features.number(name, rows, tokens.query.shape[-1]))
    kind = _Kind(name, own, chunks.most)
    forward, backward = (compiled_functions.compiled(make, kind, pays=chunks.pays) for make in (_forward, _backward))
    saved_budgets = budgets.saved()

    @tf.custom_gradient
    def attend_to_all(*vectors: tf.Tensor) -> tuple[tuple[tf.Tensor, tf.Tensor], Callable]:
        # Without it, an outer tape of eager mode would record the operations inside.
        known = tokens._replace(**dict(zip(_VECTORS, map(tf.stop_gradient, vectors), strict=True)))
        take, nothing = chunks.taker(known), chunks.nothing().listed()

        def attend_group(index: shapes.Size, state: list) -> list:
            arrays, sums = state[: -len(nothing)], state[-len(nothing) :]
            output, log_sum, *next_sums = forward(take(index), rows, sums)
            written = [array.write(index, x) for array, x in zip(arrays, [output, log_sum, *sums], strict=True)]
            return [*written, *next_sums]

        arrays = [chunks.empty([known.value.shape[-1]]), chunks.empty([]), *map(chunks.empty_sums, nothing)]
        outputs, log_sums, *firsts = chunks.sweep(attend_group, [*arrays, *nothing])[: len(arrays)]
        output, log_sum = chunks.join(outputs), chunks.join(log_sums)
        # The sums before each group.
        firsts = [packed(array) for array in firsts]

        def gradient(d_output: tf.Tensor, d_log_sum: tf.Tensor) -> list[tf.Tensor]:
            take_own = chunks.taker((log_sum, feature_sums.upstream_of_weights(output, d_output, d_log_sum)))

            def group_gradient(step: shapes.Size, state: list) -> list:
                index = chunks.groups - 1 - step
                before = [first if chunks.is_single else first[index] for first in firsts]
                parts = backward(take(index), rows, *take_own(index), before, state[3:])
                return [*(array.write(index, x) for array, x in zip(state[:3], parts[:3], strict=True)), *parts[3:]]

            with saved_budgets():
                arrays = [chunks.empty([x.shape[-1]]) for x in vectors]
                arrays = chunks.sweep(group_gradient, [*arrays, *nothing])[:3]
                return [chunks.join(array) for array in arrays]

        return (output, log_sum), gradient

    return attend_to_all(*(getattr(tokens, name) for name in _VECTORS))


class _Chunks:
    """The division of tokens into chunks, and of chunks into groups; l is chunks of a group times tokens of a chunk.

    Args:
        tokens: L of them.
        number: m, the number of features.
    """

    def __init__(self, tokens: Tokens, number: int):
        count, self.length, _size = shapes.sizes(tokens.query)
        known = shapes.static(self.length)
        self.tokens = _CHUNK if known is None else min(_CHUNK, 1 << max(known - 1, 0).bit_length())
        self.count = shapes.ceil_div(self.length, self.tokens)
        budget = budgets.current().feature_bytes // (tokens.query.dtype.size * number * self.tokens)
        self._slices = SequenceSlices(count, self.count, budget)
        self.groups, self.is_single = self._slices.count, self._slices.is_single
        self._like, self._runs = tokens.query, tokens.runs is not None
        self._sizes = [count, number, tokens.value.shape[-1] + 1]
        self.pays = compiled_functions.worth_compiling(count * self.length * number)
        self.most = shapes.static(self._slices.size) or max(budget, 1)

    def taker(self, tensors: Any) -> Callable[[shapes.Size], Any]:
        """A function from the index of a group to its part `[N, G, C, ...]` of tensors `[N, L, ...]`."""

        def prepared(x: tf.Tensor) -> tf.Tensor:
            shape = [self.count, self.tokens, *shapes.sizes(x)[2:]]
            missing = self.count * self.tokens - self.length
            x = tf.pad(x, [[0, 0], [0, missing], *([[0, 0]] * (x.shape.rank - 2))])
            return self._slices.prepared(tf.reshape(x, [shapes.sizes(x)[0], *shape]))

        chunked = tf.nest.map_structure(lambda x: None if x is None else prepared(x), tensors)
        return lambda index: tf.nest.map_structure(
            lambda x: None if x is None else self._slices.take(x, index), chunked
        )

    def empty(self, shape: list[int]) -> SliceArray:
        """An array of groups `[N, G, C, *shape]`."""
        return self._slices.empty(self._like.dtype, [self.tokens, *shape], self._like)

    def empty_sums(self, like: tf.Tensor) -> SliceArray:
        """An array of tensors like one of those in sums, for each group."""
        return loops.array(like.dtype, self.groups, shapes.sizes(like), self._like)

    def join(self, array: SliceArray) -> tf.Tensor:
        """Joins groups to `[N, L, ...]`."""
        joined = self._slices.join(array)
        count, _, _, *rest = shapes.sizes(joined)
        joined = tf.reshape(joined, [count, self.count * self.tokens, *rest])[:, : self.length]
        return shapes.ensured(joined, [*self._like.shape[:2], *rest])

    def sweep(self, body: Callable[[shapes.Size, list], list], state: list) -> list:
        """Runs `state = body(index, state)` for each group."""
        return self._slices.sweep(body, state)

    def nothing(self) -> Sums:
        """The sums of no token, of each sequence."""
        count, number, width = self._sizes
        largest = tf.fill([count, number], feature_sums.floor(self._like.dtype))
        run = tf.fill([count], feature_sums.NO_RUN) if self._runs else None
        return Sums(largest, tf.zeros([count, number, width], self._like.dtype), run)


def _logs(kind: _Kind, tokens: Tokens, rows: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
    """The log-features of queries and of keys, `[N, G, C, m]`."""
    feature_map = features.FEATURE_MAPS[kind.features]
    return feature_map.queries(tokens.query, rows), floor_unless(tokens.valid, feature_map.keys(tokens.key, rows))


def _forward(kind: _Kind) -> Callable[..., list[tf.Tensor]]:
    """Makes the function that attends in a group: from tokens, rows and the sums of the keys before the group."""

    def attend(tokens: Tokens, rows: tf.Tensor | None, listed: list[tf.Tensor]) -> list[tf.Tensor]:
        queries, keys = _logs(kind, tokens, rows)
        vectors = feature_sums.with_one(tokens.value)
        before, sums = _sums_before(kind, tokens, keys, vectors, Sums(*listed))
        seen = feature_pairs.attend(queries, keys, vectors, tokens.valid, tokens.runs, kind.own)
        seen = feature_sums.merged(feature_sums.seen(queries, tokens.runs, before), seen)
        return [*feature_sums.normalised(seen), *sums.listed()]

    return attend


def _backward(kind: _Kind) -> Callable[..., list[tf.Tensor]]:
    """Makes the function for the gradient of a group.

    Its arguments are tokens, rows, log-sums `[N, G, C]`, upstream `[N, G, C, D + 1]`, the sums of the keys before the
    group and of the queries after it. It returns the gradients of query, key and value, and the next sums of queries.
    """

    def gradient(
        tokens: Tokens,
        rows: tf.Tensor | None,
        log_sum: tf.Tensor,
        upstream: tf.Tensor,
        first: list[tf.Tensor],
        last: list[tf.Tensor],
    ) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch([tokens.query, tokens.key])
            logs, keys = _logs(kind, tokens, rows)
        vectors, queries = feature_sums.with_one(tokens.value), feature_sums.less_log_sum(logs, log_sum, tokens.valid)
        before, _ = _sums_before(kind, tokens, keys, vectors, Sums(*first))
        after, sums = _sums_after(kind, tokens, queries, upstream, Sums(*last))
        d_queries, d_keys, d_vectors = feature_pairs.gradient(queries, keys, vectors, tokens.runs, kind.own, upstream)
        weights = feature_sums.weights_of_sums(queries, tokens.runs, before)
        d_queries += weights * tf.matmul(upstream, before.sums, transpose_b=True)
        weights = feature_sums.weights_of_sums(keys, tokens.runs, after)
        d_keys += weights * tf.matmul(vectors, after.sums, transpose_b=True)
        d_vectors += tf.matmul(weights, after.sums)
        d_query, d_key = tape.gradient([logs, keys], [tokens.query, tokens.key], [d_queries, d_keys])
        return [d_query, d_key, d_vectors[..., :-1], *sums.listed()]

    return gradient


def _sums_before(kind: _Kind, tokens: Tokens, keys: tf.Tensor, vectors: tf.Tensor, first: Sums) -> tuple[Sums, Sums]:
    """The sums of all keys before each chunk, and of all keys."""
    run = None if tokens.runs is None else tokens.runs[..., -1]
    return feature_sums.before_each(first, feature_sums.summed(keys, vectors, tokens.runs, run), kind.group)


def _sums_after(kind: _Kind, tokens: Tokens, queries: tf.Tensor, upstream: tf.Tensor, last: Sums) -> tuple[Sums, Sums]:
    """The sums of all queries after each chunk, and of all queries."""
    run = None if tokens.runs is None else tokens.runs[..., 0]
    parts = feature_sums.summed(queries, upstream, tokens.runs, run)
    after, sums = feature_sums.before_each(last, feature_sums.reversed_parts(parts), kind.group)
    return feature_sums.reversed_parts(after), sums
