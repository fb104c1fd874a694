"""Sizes of tensors, as Python integers where they are known and as scalar tensors where they are not."""

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


def known(sizes: Sequence[Size]) -> bool:
    """Whether all sizes are static."""
    return all(isinstance(size, int) for size in sizes)


def ensured(x: tf.Tensor, shape: Sequence[int | None]) -> tf.Tensor:
    """`tf.ensure_shape`, without an operation where nothing more is learned of the shape."""
    return x if list(shape) == list(x.shape) else tf.ensure_shape(x, shape)


def ceil_div(numerator: Size, denominator: Size) -> Size:
    """Returns the quotient of two positive sizes rounded up; an `int` if both are."""
    return -(-numerator // denominator)


def statistics_dtype(dtype: tf.DType) -> tf.DType:
    """Returns the dtype of softmax statistics and residual streams: float32, or float64 for float64 inputs."""
    return tf.float64 if tf.as_dtype(dtype) == tf.float64 else tf.float32


def reshaped(x: tf.Tensor, before: Sequence[Size], after: Sequence[Size]) -> tf.Tensor:
    """`tf.reshape`, whose gradient does not ask for the shape of what was reshaped.

    For the result of a linear function: where things are computed again for the backward pass, it would otherwise be
    computed again, too, only to see how large it is.

    Args:
        x: tensor of sizes `before`.
        before: its sizes, from what it was computed of.
        after: sizes of the result.

    Returns:
        Tensor of sizes `after`.
    """
    # TensorFlow's own gradient works out a single size that is not known.
    if sum(not isinstance(size, int) for size in before) <= 1:
        return tf.reshape(x, after)

    @tf.custom_gradient
    def apply(x: tf.Tensor) -> tuple[tf.Tensor, Any]:
        return tf.reshape(x, after), lambda upstream: tf.reshape(upstream, before)

    return apply(x)
