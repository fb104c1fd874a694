"""Layer normalisation of rows, forward and backward each in few passes over memory if compiled."""

import math
from collections.abc import Callable

import tensorflow as tf

from reformer_tf.ops import shapes, sums
from reformer_tf.ops.execution import compiled_functions


def normalized(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, epsilon: float, dtype: tf.DType) -> tf.Tensor:
    """Normalises each row to mean 0 and variance 1, then scales and shifts it (Ba et al., 2016).

    Inside `compiled_functions.compiling_functions(True)`, in a graph on CPU, this and its gradient are compiled if `x`
    is large.

    Args:
        x: floating tensor `[..., M]`; the statistics are computed in at least float32.
        gamma: `[M]`, the scale.
        beta: `[M]`, the shift.
        epsilon: added to the variance.
        dtype: of the result.

    Returns:
        `[..., M]`.
    """
    pays = compiled_functions.worth_compiling(math.prod(shapes.sizes(x)))
    # Both are made here: TensorFlow calls the gradient after the scope that allows compiling has exited.
    forward, backward = (compiled_functions.compiled(make, epsilon, dtype, pays=pays) for make in (_forward, _backward))

    @tf.custom_gradient
    def apply(*args: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        args = tuple(tf.stop_gradient(x) for x in args)
        return forward(*args), lambda upstream: backward(upstream, *args[:2])

    return tf.ensure_shape(apply(x, gamma, beta), x.shape)


def _forward(epsilon: float, dtype: tf.DType) -> Callable[..., tf.Tensor]:
    def compute(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        hat, _ = _standardized(x, epsilon)
        return tf.cast(hat * tf.cast(gamma, hat.dtype) + tf.cast(beta, hat.dtype), dtype)

    return compute


def _backward(epsilon: float, dtype: tf.DType) -> Callable[..., list[tf.Tensor]]:
    """Makes the function that computes the gradients of x, gamma and beta from that of the result, x and gamma."""

    def compute(upstream: tf.Tensor, x: tf.Tensor, gamma: tf.Tensor) -> list[tf.Tensor]:
        hat, inverse = _standardized(x, epsilon)
        upstream = tf.cast(upstream, hat.dtype)
        d_gamma, d_beta = sums.over_tokens(upstream * hat, 1), sums.over_tokens(upstream, 1)
        d_hat = upstream * tf.cast(gamma, hat.dtype)
        along = tf.reduce_mean(d_hat * hat, axis=-1, keepdims=True)
        d_hat = inverse * (d_hat - tf.reduce_mean(d_hat, axis=-1, keepdims=True) - hat * along)
        return [tf.cast(d_hat, x.dtype), tf.cast(d_gamma, gamma.dtype), tf.cast(d_beta, gamma.dtype)]

    return compute


def _standardized(x: tf.Tensor, epsilon: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Rows of mean 0 and variance 1, and the factors that scaled them, in at least float32."""
    x = tf.cast(x, shapes.statistics_dtype(x.dtype))
    centred = x - tf.reduce_mean(x, axis=-1, keepdims=True)
    inverse = tf.math.rsqrt(tf.reduce_mean(tf.square(centred), axis=-1, keepdims=True) + epsilon)
    return centred * inverse, inverse
