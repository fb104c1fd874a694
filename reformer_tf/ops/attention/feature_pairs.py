"""Causal attention by features inside a chunk of tokens, where a query sees some of the keys and not others.

A product of features can be scaled by the largest of each feature over the keys only if the query sees them all: a
later key may be so large that nothing is left of those before it. So a chunk is halved again and again. At each level
the queries of a right half see all keys of the left half beside it; at last a token is left, which sees itself. A
later key then changes nothing at all.

C is the number of tokens of a chunk, a power of two. Runs of segments are as in `feature_sums`.
"""

import tensorflow as tf

from reformer_tf.ops import shapes
from reformer_tf.ops.attention import feature_sums
from reformer_tf.ops.attention.feature_sums import Partial, floor_unless

# Products of matrices with fewer rows are slower than sums of elementwise products.
_LEAST_ROWS = 4


def attend(queries: tf.Tensor, keys: tf.Tensor, vectors: tf.Tensor, runs: tf.Tensor | None, own: bool) -> Partial:
    """Lets each query see the keys before it.

    Args:
        queries: log-features `[..., C, m]` of the queries.
        keys: log-features `[..., C, m]` of the keys.
        vectors: `[..., C, P]`, of the keys.
        runs: int32 `[..., C]`, or None.
        own: whether a query sees its own key, too.
    """
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
