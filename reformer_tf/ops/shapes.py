"""Sizes of tensors, as Python integers where they are static and as scalar tensors where they are not.

Also functions that merge, move and cut axes, and keep all static sizes.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import tensorflow as tf

# An int, or a scalar tensor.
Size: TypeAlias = Any


def sizes(x: tf.Tensor) -> list[Size]:
    """Returns the size of each axis of `x`: an `int` where it is static, else an int32 scalar tensor."""
    static = list(x.shape)
    if None not in static:
        return static
    dynamic = tf.shape(x)
    return [dynamic[axis] if size is None else size for axis, size in enumerate(static)]


def static(size: Size) -> int | None:
    """Returns the size if it is an `int`, else None."""
    return size if isinstance(size, int) else None


def known(sizes: Sequence[Size]) -> bool:
    """Whether all sizes are static."""
    return all(isinstance(size, int) for size in sizes)


def is_one(size: Size) -> bool:
    """Whether a size is 1 in any case; False for a tensor."""
    return isinstance(size, int) and size == 1


def minimum(x: Size, y: Size) -> Size:
    """Returns the smaller of two sizes; an `int` if both are."""
    return min(x, y) if known([x, y]) else tf.minimum(x, y)


def maximum(x: Size, y: Size) -> Size:
    """Returns the larger of two sizes; an `int` if both are."""
    return max(x, y) if known([x, y]) else tf.maximum(x, y)


def where(condition: Any, x: Size, y: Size) -> Size:
    """Returns one size where a condition holds, else the other; the size itself if the condition is a `bool`."""
    if isinstance(condition, bool):
        return x if condition else y
    return tf.where(condition, x, y)


def ensured(x: tf.Tensor, shape: Sequence[int | None]) -> tf.Tensor:
    """`tf.ensure_shape`, without an operation if the static shape is the same already."""
    return x if list(shape) == list(x.shape) else tf.ensure_shape(x, shape)


def first(x: tf.Tensor) -> tf.Tensor:
    """Returns the first number of `x`, whose rank is known, or zero if it is empty."""
    # Not of the flattened tensor, of which XLA would make a copy.
    return tf.reduce_sum(x[(slice(1),) * x.shape.rank])


def ceil_div(numerator: Size, denominator: Size) -> Size:
    """Returns the quotient of two positive sizes rounded up; an `int` if both are."""
    return -(-numerator // denominator)


def statistics_dtype(dtype: tf.DType) -> tf.DType:
    """Returns the dtype of softmax statistics and residual streams: float32, or float64 for float64 inputs."""
    return tf.float64 if tf.as_dtype(dtype) == tf.float64 else tf.float32


def reshaped(x: tf.Tensor, before: Sequence[Size], after: Sequence[Size]) -> tf.Tensor:
    """`tf.reshape` whose gradient does not need the reshaped tensor to know its shape.

    Meant for results of linear functions: when a backward pass recomputes a layer, such a result would otherwise be
    computed again only for its shape.

    Args:
        x: tensor of sizes `before`.
        before: its sizes, taken from the tensors that it was computed from.
        after: sizes of the result.

    Returns:
        Tensor of sizes `after`.
    """
    # TensorFlow's own gradient needs no tensor if at most one size is unknown.
    if sum(static(size) is None for size in before) <= 1:
        return tf.reshape(x, after)

    @tf.custom_gradient
    def apply(x: tf.Tensor) -> tuple[tf.Tensor, Any]:
        return tf.reshape(x, after), lambda upstream: tf.reshape(upstream, before)

    return apply(x)


def flat(x: tf.Tensor, axes: int) -> tf.Tensor:
    """Merges the first axes into one."""
    rest = sizes(x)[axes:]
    return tf.reshape(x, [-1, *rest])


def cut(x: tf.Tensor, start: Size, length: Size) -> tf.Tensor:
    """`x[start : start + length]`, with a static size if the length is static (XLA needs it)."""
    # Explicit sizes: given -1 and a start not known yet, XLA pads the whole tensor to a multiple of the size.
    size, *rest = sizes(x)
    begin, extent = [start, *(0 for _ in rest)], [length, *rest]
    if known(begin) and known(extent):
        return x if length == static(size) else tf.slice(x, begin, extent)
    result = tf.slice(x, tf.stack(begin), tf.stack(extent))
    return ensured(result, [static(length), *x.shape[1:]])


def by_position(x: tf.Tensor, heads: Size) -> tf.Tensor:
    """Maps `[N, L, ...]` to `[B, L, H, ...]`."""
    length, rest = sizes(x)[1], sizes(x)[2:]
    x = tf.reshape(x, [-1, heads, length, *rest])
    return tf.transpose(x, [0, 2, 1, *range(3, x.shape.rank)])


def by_sequence(x: tf.Tensor) -> tf.Tensor:
    """Maps `[B, L, H, ...]` to `[N, L, ...]`."""
    _, length, _, *rest = sizes(x)
    return tf.reshape(tf.transpose(x, [0, 2, 1, *range(3, x.shape.rank)]), [-1, length, *rest])
