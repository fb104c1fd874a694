"""Bias and activation, and their gradient, each in one pass over memory if compiled.

In half precision a polynomial like that of erf is slow and inexact on CPU: compiled functions compute in float32 inside
and cast only inputs and results.
"""

import math
import types
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from reformer_tf.ops import shapes, sums
from reformer_tf.ops.execution import barriers, budgets, compiled_functions, loops


def biased(fn: Callable[[tf.Tensor], tf.Tensor], x: tf.Tensor, bias: tf.Tensor | None = None) -> tf.Tensor:
    """Computes `fn(x + bias)`.

    Inside `compiled_functions.compiling_functions(True)`, in a graph on CPU, this and its gradient are compiled if `x`
    is large. A program for an accelerator has the same functions in it: one kernel each, without a rounding to half
    precision between operations, which would be a pass over memory there.

    Args:
        fn: an elementwise function. A module-level function may be compiled; anything else (a layer, a partial, a
            function with a closure) may hold tensors, and is called uncompiled.
        x: floating tensor `[..., P]`.
        bias: `[P]`, in a dtype of its own, which its gradient has too; or None.

    Returns:
        Tensor of the shape and dtype of `x`.
    """
    pays = _is_plain(fn) and compiled_functions.worth_compiling(math.prod(shapes.sizes(x)))
    in_program = _is_plain(fn) and loops.in_accelerator_program()
    if in_program and bias is not None:
        return biased(fn, sums.bias_add(x, bias))
    if pays is False and not in_program:
        return fn(x if bias is None else sums.bias_add(x, bias))
    # Both are made here: TensorFlow calls the gradient after the scope that allows compiling has exited.
    fast = _FAST.get((fn, shapes.statistics_dtype(x.dtype)), fn)
    forward, backward = (
        compiled_functions.compiled(make, fast, pays=pays, instead=make(fast if in_program else fn))
        for make in (_forward, _backward)
    )

    saved_budgets = budgets.saved()

    @tf.custom_gradient
    def apply(*args: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        args = tuple(tf.stop_gradient(x) for x in args)

        def gradient(upstream: tf.Tensor) -> list[tf.Tensor]:
            with saved_budgets():
                return barriers.behind(*backward(upstream, *args))

        return forward(*args), gradient

    return tf.ensure_shape(apply(x) if bias is None else apply(x, bias), x.shape)


def _gelu(x: tf.Tensor) -> tf.Tensor:
    """GELU by erf. By erfc, as in Keras, results below 1e-6 are more exact, but it takes twice as long."""
    return x * (0.5 + 0.5 * tf.math.erf(x * tf.constant(math.sqrt(0.5), x.dtype)))


# Functions to compile in place of others that they equal up to rounding. XLA's erf is too inexact for float64.
_FAST = {(keras.activations.gelu, tf.float32): _gelu}


def _is_plain(fn: Any) -> bool:
    return isinstance(fn, types.FunctionType) and fn.__closure__ is None


def _forward(fn: Callable[[tf.Tensor], tf.Tensor]) -> Callable[..., tf.Tensor]:
    """Makes the function that computes `biased` from x and, if there is one, the bias."""

    def compute(x: tf.Tensor, *bias: tf.Tensor) -> tf.Tensor:
        return tf.cast(fn(_summed(x, *bias)), x.dtype)

    return compute


def _backward(fn: Callable[[tf.Tensor], tf.Tensor]) -> Callable[..., list[tf.Tensor]]:
    """Makes the function that computes the gradients of x and the bias from these and the gradient of the result."""

    def compute(upstream: tf.Tensor, x: tf.Tensor, *bias: tf.Tensor) -> list[tf.Tensor]:
        inner = _summed(x, *bias)
        with tf.GradientTape() as tape:
            tape.watch(inner)
            result = fn(inner)
        d_inner = tape.gradient(result, inner, output_gradients=tf.cast(upstream, inner.dtype))
        return [tf.cast(d_inner, x.dtype), *(tf.cast(sums.over_tokens(d_inner, 1), b.dtype) for b in bias)]

    return compute


def _summed(x: tf.Tensor, *bias: tf.Tensor) -> tf.Tensor:
    """The sum, in at least float32."""
    wide = shapes.statistics_dtype(x.dtype)
    return sum((tf.cast(b, wide) for b in bias), start=tf.cast(x, wide))
