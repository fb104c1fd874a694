"""Angular locality-sensitive hashing by random rotations (paper, section 2, 'Locality sensitive hashing').

A vector x falls into bucket `argmax([xR; -xR])`. Factors make many buckets from few projections: with
`num_buckets=(n1, n2)` two independent hashes of n1 and n2 buckets are combined to one of n1 * n2.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from reformer_tf.ops import seeds, shapes
from reformer_tf.ops.execution import budgets, compiled_functions, loops


def stored_rotations(seed: int, num_heads: int, key_dim: int, num_hashes: int, columns: int) -> np.ndarray:
    """Draws the rotations that a layer keeps as weights.

    They are the same bits on every machine and numpy version (the stream of `RandomState` is frozen), and are drawn
    round by round: with more rounds, the first ones have the same rotations.

    Args:
        seed: non-negative integer.
        num_heads: H. Each head has rotations of its own.
        key_dim: D.
        num_hashes: R.
        columns: projections a round, see `rotation_columns`.

    Returns:
        float32 array `[H, D, R, columns]`.
    """
    stream = np.random.RandomState(seed % 2**32)
    rounds = [stream.normal(size=(num_heads, key_dim, columns)) for _ in range(num_hashes)]
    return np.stack(rounds, axis=2).astype(np.float32)


def drawn_rotations(
    seed: tf.Tensor, layer_seed: seeds.LayerSeed, num_heads: int, key_dim: int, num_hashes: int, columns: int
) -> tf.Tensor:
    """Draws the rotations of one training step: a function of base, step and layer, the same on every replica.

    Args:
        seed: int32 `[2]` or `[3]` = (base, step, ...).
        layer_seed: the layer's own integer seed.
        num_heads: H.
        key_dim: D.
        num_hashes: R.
        columns: projections a round.

    Returns:
        float32 `[H, D, R, columns]`, standard normal.
    """
    shape = [num_heads, key_dim, num_hashes, columns]
    return tf.reshape(seeds.normal(seeds.layer_key(seed, layer_seed), math.prod(shape)), shape)


def hash_vectors(vectors: tf.Tensor, rotations: tf.Tensor, factors: Sequence[shapes.Size]) -> tf.Tensor:
    """Hashes vectors into buckets; no gradient flows through it.

    Args:
        vectors: `[B, H, L, D]`, any floating dtype; projected in at least float32.
        rotations: `[H, D, R, columns]`; as many of the first columns are used as the factors need.
        factors: bucket factors, whose halves are the groups of columns one after another. Scalar tensors where the
            bucket count follows a length that is not known yet; such a factor may be 1, and then needs no column.

    Returns:
        int32 `[B, H, R, L]`, in `[0, prod(factors))`; the first factor varies fastest.
    """
    vectors, rotations = tf.stop_gradient(vectors), tf.stop_gradient(rotations)
    batch, heads, length, _ = shapes.sizes(vectors)
    if shapes.is_one(length) and shapes.known(factors):
        return _hash_one(vectors[:, :, 0], rotations, factors)[..., None]
    row_bytes = rotations.dtype.size * batch * heads * rotations.shape[-1]
    most = budgets.current().projection_bytes // shapes.maximum(row_bytes, 1)
    if shapes.known([length, most]) and length <= max(most, 1):
        return _hash_slice(vectors, rotations, factors)
    return _hash_in_slices(vectors, rotations, factors, shapes.maximum(shapes.minimum(most, length), 1))


def _hash_one(vectors: tf.Tensor, rotations: tf.Tensor, factors: Sequence[int]) -> tf.Tensor:
    """`hash_vectors` of one vector `[B, H, D]` each, in few operations: `[B, H, R]`."""
    heads, size, rounds, columns = rotations.shape
    by_head = tf.transpose(tf.cast(vectors, rotations.dtype), [1, 0, 2])
    # Distributing a small batched product among threads takes longer than the product itself.
    products = by_head[:, :, :, None] * tf.reshape(rotations, [heads, 1, size, rounds * columns])
    projections = tf.reshape(tf.reduce_sum(products, axis=2), [heads, -1, rounds, columns])
    bucket, stride, first = tf.zeros([], tf.int32), 1, 0
    for factor in factors:
        part = projections[..., first : first + factor // 2]
        bucket += stride * tf.argmax(tf.concat([part, -part], axis=-1), axis=-1, output_type=tf.int32)
        stride, first = stride * factor, first + factor // 2
    return tf.transpose(bucket, [1, 0, 2])


def _hash_in_slices(
    vectors: tf.Tensor, rotations: tf.Tensor, factors: Sequence[shapes.Size], slice_length: shapes.Size
) -> tf.Tensor:
    """`hash_vectors`, `slice_length` positions at a time; the last slice overlaps the one before it."""
    batch, heads, length, size = shapes.sizes(vectors)
    steps = shapes.ceil_div(length, slice_length)

    def step(index: shapes.Size, arrays: list[tf.TensorArray]) -> list[tf.TensorArray]:
        start = tf.minimum(index * slice_length, length - slice_length)
        part = tf.slice(vectors, tf.stack([0, 0, start, 0]), tf.stack([batch, heads, slice_length, size]))
        part = tf.ensure_shape(part, [*vectors.shape[:2], shapes.static(slice_length), size])
        return [arrays[0].write(index, _hash_slice(part, rotations, factors))]

    shape = [*vectors.shape[:2], rotations.shape[2], shapes.static(slice_length)]
    array = tf.TensorArray(tf.int32, size=steps, element_shape=shape)
    slices = loops.count_up(steps, step, [array])[0].stack()  # [steps, B, H, R, slice_length]
    full = tf.reshape(
        tf.transpose(slices[:-1], [1, 2, 3, 0, 4]),
        tf.stack([batch, heads, rotations.shape[2], (steps - 1) * slice_length]),
    )
    rest = slices[-1][..., steps * slice_length - length :]
    return tf.ensure_shape(tf.concat([full, rest], axis=-1), [*shape[:3], vectors.shape[2]])


def _hash_slice(vectors: tf.Tensor, rotations: tf.Tensor, factors: Sequence[shapes.Size]) -> tf.Tensor:
    """`hash_vectors` of all positions together; all rounds at once where they fit the budget of one."""
    vectors = tf.cast(vectors, rotations.dtype)
    heads, size, rounds, columns = rotations.shape
    batch, _, length, _ = shapes.sizes(vectors)
    projected = [batch, heads, rounds, columns, length]
    most = budgets.current().projection_bytes
    if shapes.known([*projected, *factors]) and rotations.dtype.size * math.prod(projected) <= most:
        # Positions last: the largest of few columns is then found for many positions at a time.
        together = tf.reshape(tf.transpose(rotations, [0, 2, 3, 1]), [heads, rounds * columns, size])
        projections = tf.matmul(_for_each_row(together, batch), vectors, transpose_b=True)
        return _buckets(tf.reshape(projections, projected), factors, axis=-2)
    each = [tf.matmul(vectors, _for_each_row(rotations[:, :, index, :], batch)) for index in range(rounds)]
    return tf.stack([_buckets(projections, factors, axis=-1) for projections in each], axis=2)


def _for_each_row(matrices: tf.Tensor, batch: shapes.Size) -> tf.Tensor:
    """Repeats the matrices `[H, ...]` of heads for B rows, `[B, H, ...]`."""
    # Not by broadcasting, for which TensorFlow 2.21 may crash on CPU where a single matrix meets a batch.
    return tf.tile(matrices[None], [batch, 1, 1, 1])


def _buckets(projections: tf.Tensor, factors: Sequence[shapes.Size], axis: int) -> tf.Tensor:
    """`hash_vectors` of projections whose columns are along `axis`, which is -1 if the factors are tensors."""
    if shapes.known(factors):
        # Each number is read some four times.
        pays = compiled_functions.worth_compiling(4 * math.prod(shapes.sizes(projections)))
        return compiled_functions.compiled(_bucketing, tuple(factors), axis, pays=pays)(projections)
    bucket, stride, first = tf.zeros([], tf.int32), 1, 0
    for factor in factors:
        bucket += stride * _angular_bucket_within(projections, first, factor // 2)
        stride, first = stride * factor, first + factor // 2
    return bucket


def _bucketing(factors: Sequence[int], axis: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """Makes the function that computes buckets from projections, with columns along `axis`."""

    def buckets(projections: tf.Tensor) -> tf.Tensor:
        halves = [factor // 2 for factor in factors]
        columns = projections.shape[axis]
        parts = [projections]
        if halves != [columns]:
            parts = tf.split(projections, [*halves, columns - sum(halves)], axis=axis)
        bucket, stride = tf.zeros([], tf.int32), 1
        for factor, half, part in zip(factors, halves, parts, strict=False):  # More columns than the factors need.
            if half:
                bucket += stride * _largest_of_both_signs(part, half, axis)
            stride *= factor
        return bucket

    return buckets


def _largest_of_both_signs(projections: tf.Tensor, half: int, axis: int) -> tf.Tensor:
    """`argmax([p; -p])` along an axis of `half` columns, without building the doubled tensor; ties go to the first."""
    # Not tf.argmax, which is not vectorized.
    largest = tf.reduce_max(tf.abs(projections), axis=axis, keepdims=True)
    column = tf.reshape(tf.range(half), [half] + [1] * (-1 - axis))
    negative = tf.where(projections == -largest, column + half, 2 * half - 1)
    return tf.reduce_min(tf.where(projections == largest, column, negative), axis=axis)


def _angular_bucket_within(projections: tf.Tensor, first: tf.Tensor, half: tf.Tensor) -> tf.Tensor:
    """`_largest_of_both_signs` of columns `[first, first + half)`, a number that is a tensor; 0 if there are none."""
    column = tf.range(projections.shape[-1])
    inside = tf.logical_and(column >= first, column < first + half)
    upper = tf.where(inside, projections, projections.dtype.min)
    lower = tf.where(inside, projections, projections.dtype.max)
    highest = tf.argmax(upper, axis=-1, output_type=tf.int32) - first
    lowest = tf.argmin(lower, axis=-1, output_type=tf.int32) - first
    positive = tf.reduce_max(upper, axis=-1) >= -tf.reduce_min(lower, axis=-1)
    return tf.where(half > 0, tf.where(positive, highest, lowest + half), 0)
