"""Causal attention by features inside a chunk of tokens, where a query sees some of the keys and not others.

A product of features is scaled by the largest of each feature over all keys of the chunk, seen or not. That is one
product for all pairs, and as exact as any other as long as no key outweighs those that a query sees by too much; how
much is known before. If one does, nothing would be left of the keys before it. Then the chunk is halved again and
again: at each level the queries of a right half see all keys of the left half beside it; at last a token is left, which
sees itself. Each scale is then of keys that are all seen, and a later key changes nothing at all.

C is the number of tokens of a chunk, a power of two. Runs of segments are as in `feature_sums`.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from reformer_tf.ops import shapes
from reformer_tf.ops.attention import feature_sums
from reformer_tf.ops.attention.feature_sums import Partial, floor_unless

# By what factor, as a logarithm, keys that are not seen may outweigh those that are. Numbers below exp(-87) are lost in
# float32, so what is lost weighs less than exp(-27) of what is seen.
_MOST = 60.0

# Products of matrices with fewer rows are slower than sums of elementwise products.
_LEAST_ROWS = 4


def attend(
    queries: tf.Tensor, keys: tf.Tensor, vectors: tf.Tensor, valid: tf.Tensor, runs: tf.Tensor | None, own: bool
) -> Partial:
    """Lets each query see the keys before it.

    Args:
        queries: log-features `[..., C, m]` of the queries.
        keys: log-features `[..., C, m]` of the keys.
        vectors: `[..., C, P]`, of the keys.
        valid: boolean `[..., C]`, which queries count.
        runs: int32 `[..., C]`, or None.
        own: whether a query sees its own key, too.
    """
    if not own:
        return _attend_in_halves(queries, keys, vectors, runs, own)
    largest = tf.reduce_max(keys, axis=-2, keepdims=True)
    scale = tf.reduce_max(queries + largest, axis=-1, keepdims=True)
    # A query sees its own key at least.
    surplus = scale - tf.reduce_max(queries + keys, axis=-1, keepdims=True)

    def at_once() -> Partial:
        weights = tf.matmul(tf.exp(queries + largest - scale), tf.exp(keys - largest), transpose_b=True)
        return Partial(tf.matmul(_visible(weights, runs), vectors), scale)

    at_most = tf.reduce_max(tf.where(valid[..., None], surplus, tf.zeros_like(surplus)))
    return _either(at_most <= _MOST, at_once, lambda: _attend_in_halves(queries, keys, vectors, runs, own))


def gradient(
    queries: tf.Tensor,
    keys: tf.Tensor,
    vectors: tf.Tensor,
    runs: tf.Tensor | None,
    own: bool,
    upstream: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The gradient of the sums of pairs' weights times upstream · vectors, where no weight is more than one.

    Args:
        queries: log-features `[..., C, m]`, less the logarithm of the sum of all weights that the query sees.
        keys: log-features `[..., C, m]`.
        vectors: `[..., C, P]`, of the keys.
        runs: int32 `[..., C]`, or None.
        own: whether a query sees its own key, too.
        upstream: `[..., C, P]`, of the queries.

    Returns:
        The gradients of `queries`, `keys` and `vectors`.
    """
    if not own:
        return _gradient_in_halves(queries, keys, vectors, runs, own, upstream)
    largest = tf.reduce_max(keys, axis=-2, keepdims=True)
    logs = queries + largest

    def at_once() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        of_queries, of_keys = tf.exp(logs), tf.exp(keys - largest)
        weights = _visible(tf.matmul(of_queries, of_keys, transpose_b=True), runs)
        pairs = _visible(tf.matmul(upstream, vectors, transpose_b=True), runs)
        d_queries = of_queries * tf.matmul(pairs, of_keys)
        d_keys = of_keys * tf.matmul(pairs, of_queries, transpose_a=True)
        return d_queries, d_keys, tf.matmul(weights, upstream, transpose_a=True)

    return _either(
        tf.reduce_max(logs) <= _MOST,
        at_once,
        lambda: _gradient_in_halves(queries, keys, vectors, runs, own, upstream),
    )


def _either(condition: tf.Tensor, first: Callable[[], Any], second: Callable[[], Any]) -> Any:
    """One of two results of the same shapes."""
    if tf.executing_eagerly():
        return first() if condition else second()
    return tf.cond(condition, first, second)


def _visible(pairs: tf.Tensor, runs: tf.Tensor | None) -> tf.Tensor:
    """Pairs `[..., C, C]` of a query, by row, and a key that it sees; zero elsewhere."""
    pairs = tf.linalg.band_part(pairs, -1, 0)
    if runs is None:
        return pairs
    return tf.where(tf.equal(runs[..., :, None], runs[..., None, :]), pairs, tf.zeros_like(pairs))


def _attend_in_halves(
    queries: tf.Tensor, keys: tf.Tensor, vectors: tf.Tensor, runs: tf.Tensor | None, own: bool
) -> Partial:
    """`attend`, with scales of keys that are seen alone."""
    if own:
        logs = queries + keys
        scale = tf.reduce_max(logs, axis=-1, keepdims=True)
        seen = Partial(tf.reduce_sum(tf.exp(logs - scale), axis=-1, keepdims=True) * vectors, scale)
    else:
        seen = Partial(tf.zeros_like(vectors), tf.fill(tf.shape(vectors[..., :1]), feature_sums.floor(vectors.dtype)))
    for size in _halves(queries):
        _, right_queries = _halved(queries, size)
        left_keys, _ = _halved(keys, size)
        left_vectors, _ = _halved(vectors, size)
        left, right = (Partial(*pair) for pair in zip(*(_halved(x, size) for x in seen), strict=True))
        left_runs, right_runs, run = _halved_runs(runs, size)
        left_keys = floor_unless(feature_sums.in_run(left_runs, run), left_keys)
        largest = tf.reduce_max(left_keys, axis=-2, keepdims=True)
        logs = right_queries + largest
        scale = tf.reduce_max(logs, axis=-1, keepdims=True)
        weights = _products(tf.exp(logs - scale), tf.exp(left_keys - largest))
        scale = floor_unless(feature_sums.in_run(right_runs, run), scale)
        right = feature_sums.merged(right, Partial(_matmul(weights, left_vectors), scale))
        seen = Partial(*(_joined(x, y, size) for x, y in zip(left, right, strict=True)))
    return seen


def _gradient_in_halves(
    queries: tf.Tensor,
    keys: tf.Tensor,
    vectors: tf.Tensor,
    runs: tf.Tensor | None,
    own: bool,
    upstream: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """`gradient`, with scales of keys that are seen alone."""
    d_queries, d_keys, d_vectors = (tf.zeros_like(x) for x in (queries, keys, vectors))
    if own:
        weights = tf.exp(queries + keys)
        d_queries = d_keys = weights * tf.reduce_sum(upstream * vectors, axis=-1, keepdims=True)
        d_vectors = tf.reduce_sum(weights, axis=-1, keepdims=True) * upstream
    for size in _halves(queries):
        _, right_queries = _halved(queries, size)
        _, right_upstream = _halved(upstream, size)
        left_keys, _ = _halved(keys, size)
        left_vectors, _ = _halved(vectors, size)
        left_runs, right_runs, run = _halved_runs(runs, size)
        left_keys = floor_unless(feature_sums.in_run(left_runs, run), left_keys)
        largest = tf.reduce_max(left_keys, axis=-2, keepdims=True)
        of_queries = tf.exp(floor_unless(feature_sums.in_run(right_runs, run), right_queries + largest))
        of_keys = tf.exp(left_keys - largest)
        pairs = _products(right_upstream, left_vectors)
        weights = _products(of_queries, of_keys)
        d_queries += _joined(None, of_queries * _matmul(pairs, of_keys), size)
        d_keys += _joined(of_keys * _matmul(pairs, of_queries, transpose=True), None, size)
        d_vectors += _joined(_matmul(weights, right_upstream, transpose=True), None, size)
    return d_queries, d_keys, d_vectors


def _halves(x: tf.Tensor) -> list[int]:
    """The sizes of halves of a chunk at all levels, 1 first."""
    return [1 << level for level in range(x.shape[-2].bit_length() - 1)]


def _halved(x: tf.Tensor, size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The left and the right halves, of `size` tokens each: `[..., C, P]` to two of `[..., C / (2 size), size, P]`."""
    *batch, count, width = shapes.sizes(x)
    left, right = tf.unstack(tf.reshape(x, [*batch, count // (2 * size), 2, size, width]), axis=-3)
    return left, right


def _halved_runs(runs: tf.Tensor | None, size: int) -> tuple[tf.Tensor | None, tf.Tensor | None, tf.Tensor | None]:
    """The runs of the left and the right halves, `[..., C / (2 size), size]`, and the last run of each left half."""
    if runs is None:
        return None, None, None
    left, right = (x[..., 0] for x in _halved(runs[..., None], size))
    return left, right, left[..., -1]


def _joined(left: tf.Tensor | None, right: tf.Tensor | None, size: int) -> tf.Tensor:
    """Undoes `_halved`; None is a half of zeros."""
    left = tf.zeros_like(right) if left is None else left
    right = tf.zeros_like(left) if right is None else right
    *batch, count, _, width = shapes.sizes(left)
    return tf.reshape(tf.stack([left, right], axis=-3), [*batch, 2 * count * size, width])


def _products(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """The products of rows `[..., s, P]` and `[..., s, P]`, `[..., s, s]`."""
    if x.shape[-2] < _LEAST_ROWS:
        return tf.reduce_sum(x[..., :, None, :] * y[..., None, :, :], axis=-1)
    return tf.matmul(x, y, transpose_b=True)


def _matmul(weights: tf.Tensor, x: tf.Tensor, transpose: bool = False) -> tf.Tensor:
    """Sums rows `[..., s, P]` with weights `[..., s, s]`, over their last axis, or with `transpose` the one before."""
    if x.shape[-2] < _LEAST_ROWS:
        x = x[..., :, None, :] if transpose else x[..., None, :, :]
        return tf.reduce_sum(weights[..., None] * x, axis=-3 if transpose else -2)
    return tf.matmul(weights, x, transpose_a=transpose)
