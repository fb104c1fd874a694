"""Attention by features to all tokens of another sequence, or of the same in both directions.

All keys and values are summed first, group by group, then each group of queries sees the sums. Cross-attention needs no
more than these.
"""

from collections.abc import Callable

import tensorflow as tf

from reformer_tf.ops import shapes
from reformer_tf.ops.attention import feature_sums, features
from reformer_tf.ops.attention.feature_sums import Sums, floor_unless
from reformer_tf.ops.execution import budgets, compiled_functions
from reformer_tf.ops.execution.sequence_slices import SequenceSlices


def attend(
    query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, valid: tf.Tensor, rows: tf.Tensor | None, name: str
) -> tuple[tf.Tensor, tf.Tensor]:
    """Attends to all keys.

    Args:
        query: x of `features`, `[N, Q, D]`, as key and value in at least float32.
        key: y of `features`, `[N, L, D]`.
        value: `[N, L, P]`.
        valid: boolean `[N, L]`, or with 1 in place of N; whether a key counts.
        rows: of the features, `[r, D]`, or None. No gradient flows to them.
        name: of the features.

    Returns:
        Outputs `[N, Q, P]`, and the logarithm of the sum of each query's weights `[N, Q]`; zero and `FLOOR` for queries
        that see nothing.
    """
    number = features.number(name, rows, query.shape[-1])
    of_queries, of_keys = _slices(query, number), _slices(key, number)
    pays = compiled_functions.worth_compiling(shapes.sizes(query)[0] * shapes.sizes(query)[1] * number)
    see, query_gradient, key_gradient = (
        compiled_functions.compiled(make, name, pays=pays) for make in (_see, _query_gradient, _key_gradient)
    )
    saved_budgets = budgets.saved()

    @tf.custom_gradient
    def attend_to_all(*vectors: tf.Tensor) -> tuple[tuple[tf.Tensor, tf.Tensor], Callable]:
        # Without it, an outer tape of eager mode would record the operations inside.
        query, key, value = (tf.stop_gradient(x) for x in vectors)
        queries, keys = of_queries.prepared(query), [of_keys.prepared(x) for x in (key, value, valid)]

        def take_keys(index: shapes.Size) -> list[tf.Tensor]:
            return [of_keys.take(x, index) for x in keys]

        def see_sums(index: shapes.Size, arrays: list) -> list:
            results = see(of_queries.take(queries, index), rows, *sums)
            return [array.write(index, result) for array, result in zip(arrays, results, strict=True)]

        sums = summed(key, value, valid, rows, name)[:2]
        arrays = [of_queries.empty(query.dtype, shape, query) for shape in ([value.shape[-1]], [])]
        output, log_sum = (of_queries.join(array) for array in of_queries.sweep(see_sums, arrays))

        def gradient(d_output: tf.Tensor, d_log_sum: tf.Tensor) -> list[tf.Tensor]:
            upstream = feature_sums.upstream_of_weights(output, d_output, d_log_sum)
            own = [of_queries.prepared(x) for x in (log_sum, upstream)]

            def query_slice(index: shapes.Size, state: list) -> list:
                d_queries, total = state
                parts = [of_queries.take(x, index) for x in (queries, *own)]
                d_query, total = query_gradient(*parts, rows, *sums, total)
                return [d_queries.write(index, d_query), total]

            def key_slice(index: shapes.Size, arrays: list) -> list:
                results = key_gradient(*take_keys(index), rows, sums[0], total)
                return [array.write(index, result) for array, result in zip(arrays, results, strict=True)]

            with saved_budgets():
                state = [of_queries.empty(query.dtype, [query.shape[-1]], query), tf.zeros_like(sums[1])]
                d_queries, total = of_queries.sweep(query_slice, state)
                arrays = [of_keys.empty(x.dtype, [x.shape[-1]], x) for x in (key, value)]
                arrays = of_keys.sweep(key_slice, arrays)
                return [of_queries.join(d_queries), *(of_keys.join(array) for array in arrays)]

        return (output, log_sum), gradient

    return attend_to_all(query, key, value)


def summed(key: tf.Tensor, value: tf.Tensor, valid: tf.Tensor, rows: tf.Tensor | None, name: str) -> Sums:
    """Sums all keys and values, a slice at a time; see `attend` for the arguments.

    Returns:
        Sums `[N, m, P + 1]` of features times [value, 1].
    """
    number = features.number(name, rows, key.shape[-1])
    count, length, _ = shapes.sizes(key)
    slices = _slices(key, number)
    add = compiled_functions.compiled(_add, name, pays=compiled_functions.worth_compiling(count * length * number))
    prepared = [slices.prepared(x) for x in (key, value, valid)]

    def add_slice(index: shapes.Size, sums: list) -> list:
        return list(add(*(slices.take(x, index) for x in prepared), rows, *sums))

    largest = tf.fill([count, number], feature_sums.floor(value.dtype))
    nothing = [largest, tf.zeros([count, number, value.shape[-1] + 1], value.dtype)]
    return Sums(*slices.sweep(add_slice, nothing))


def _slices(x: tf.Tensor, number: int) -> SequenceSlices:
    """The slices of tokens whose features are computed at a time."""
    count, length, _ = shapes.sizes(x)
    return SequenceSlices(count, length, budgets.current().feature_bytes // (x.dtype.size * number))


def _keys(name: str, key: tf.Tensor, valid: tf.Tensor, rows: tf.Tensor | None) -> tf.Tensor:
    return floor_unless(valid, features.FEATURE_MAPS[name].keys(key, rows))


def _add(name: str) -> Callable[..., list[tf.Tensor]]:
    """Makes the function that adds a slice of keys to sums; in and out come the largest log-features and the sums."""

    def add(
        key: tf.Tensor, value: tf.Tensor, valid: tf.Tensor, rows: tf.Tensor | None, *earlier: tf.Tensor
    ) -> list[tf.Tensor]:
        own = feature_sums.summed(_keys(name, key, valid, rows), feature_sums.with_one(value), None, None)
        return list(feature_sums.combined(Sums(*earlier), own)[:2])

    return add


def _see(name: str) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    """Makes the function that computes outputs and log-sums of a slice of queries."""

    def see(query: tf.Tensor, rows: tf.Tensor | None, *sums: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        logs = features.FEATURE_MAPS[name].queries(query, rows)
        return feature_sums.normalised(feature_sums.seen(logs, None, Sums(*sums)))

    return see


def _query_gradient(name: str) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    """Makes the function for the gradient of a slice of queries, which adds to the sums for that of keys.

    The sums `[N, m, P + 1]` are of queries' weights, times exp(largest log-feature of the keys), times upstream.
    """

    def gradient(
        query: tf.Tensor, log_sum: tf.Tensor, upstream: tf.Tensor, rows: tf.Tensor | None, *sums: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        largest, keys, total = sums
        with tf.GradientTape() as tape:
            tape.watch(query)
            logs = features.FEATURE_MAPS[name].queries(query, rows)
        normalised = feature_sums.less_log_sum(logs, log_sum)
        weights = feature_sums.weights_of_sums(normalised, None, Sums(largest, keys, None))
        d_logs = weights * tf.matmul(upstream, keys, transpose_b=True)
        return tape.gradient(logs, query, d_logs), total + tf.matmul(weights, upstream, transpose_a=True)

    return gradient


def _key_gradient(name: str) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    """Makes the function for the gradients of a slice of keys and values, from the sums of `_query_gradient`."""

    def gradient(
        key: tf.Tensor,
        value: tf.Tensor,
        valid: tf.Tensor,
        rows: tf.Tensor | None,
        largest: tf.Tensor,
        total: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(key)
            logs = _keys(name, key, valid, rows)
        weights = tf.exp(logs - largest[..., None, :])
        d_logs = weights * tf.matmul(feature_sums.with_one(value), total, transpose_b=True)
        return tape.gradient(logs, key, d_logs), tf.matmul(weights, total)[..., :-1]

    return gradient
