"""Sums in at least float32, whatever the dtype of the terms.

The gradient of a weight is a sum over tokens. In half precision such a sum stops growing once a term is below half a
unit in the last digit of the total: the gradient of a bias, by TensorFlow's BiasAddGrad on CPU, is then off by 11 % at
16,384 tokens, that of an embedding, by a scatter, by 5 % at 65,536. So weights come here in their own dtype and are
cast where they are combined with tokens; only the products are in half precision (all kernels accumulate matrix
products in float32, and round once; TensorFlow's own on CPU rounds bfloat16 toward zero, oneDNN's to the nearest).
"""

import functools
from collections.abc import Callable, Sequence

import tensorflow as tf

from reformer_tf.ops import one_hot_sums, shapes
from reformer_tf.ops.execution import budgets, loops


def summed(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    """Adds tensors of one shape and dtype, with one rounding at the end; unlike `sum`, without a zero to begin with."""
    dtype = tensors[0].dtype
    # Two numbers are added with one rounding in any case.
    if len(tensors) < 3:
        return functools.reduce(tf.add, tensors)
    return tf.cast(functools.reduce(tf.add, [wide(x) for x in tensors]), dtype)


def matmul(x: tf.Tensor, kernel: tf.Tensor, transpose_b: bool = False) -> tf.Tensor:
    """Multiplies rows by a kernel, in the dtype of the rows.

    Args:
        x: floating tensor `[T, M]`.
        kernel: `[M, P]`, or `[P, M]` with `transpose_b`, in a dtype of its own, which its gradient has too.
        transpose_b: whether the kernel is transposed.

    Returns:
        `[T, P]` in the dtype of `x`.
    """
    return tf.matmul(x, tf.cast(kernel, x.dtype), transpose_b=transpose_b)


def bias_add(x: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """Adds a bias to each token, in the dtype of the tokens; its gradient is summed in at least float32.

    Args:
        x: floating tensor `[..., *S]`.
        bias: `[*S]`, in a dtype of its own, which its gradient has too.

    Returns:
        Tensor of the shape and dtype of `x`.
    """
    if x.dtype == shapes.statistics_dtype(x.dtype):
        return _plain_bias_add(x, bias)

    @tf.custom_gradient
    def apply(x: tf.Tensor, bias: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return upstream, tf.cast(over_tokens(upstream, bias.shape.rank), bias.dtype)

        return _plain_bias_add(x, bias), gradient

    return tf.ensure_shape(apply(x, bias), x.shape)


def look_up(table: tf.Tensor, ids: tf.Tensor, dtype: tf.DType | None = None) -> tf.Tensor:
    """Looks up a row of a table for each id; its gradient adds up the rows of an id in at least float32.

    Args:
        table: floating tensor `[V, M]`.
        ids: integers `[...]` in [0, V).
        dtype: of the result; None for at least float32.

    Returns:
        `[..., M]`.
    """
    if not loops.in_accelerator_program():
        vectors = _scatter_look_up(table, ids)
        return vectors if dtype is None else tf.cast(vectors, dtype)

    saved_budgets = budgets.saved()

    @tf.custom_gradient
    def apply(table: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        vectors = tf.gather(wide(table), ids)

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            rows, width = tf.reshape(ids, [-1]), table.shape[-1]
            with saved_budgets():
                found = one_hot_sums.sum_by_id(tf.reshape(upstream, [-1, width]), rows, table.shape[0])
            return tf.cast(found, table.dtype)

        return vectors if dtype is None else tf.cast(vectors, dtype), gradient

    return apply(table)


def _scatter_look_up(table: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
    """`look_up` in at least float32, the dtype in which a scatter sums the gradient."""
    if table.dtype == shapes.statistics_dtype(table.dtype):
        return tf.gather(table, ids)

    # TensorFlow's gradient of a cast would cast the rows before they are added up.
    @tf.custom_gradient
    def apply(table: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            return tf.cast(tf.math.unsorted_segment_sum(upstream, ids, shapes.sizes(table)[0]), table.dtype)

        return tf.gather(wide(table), ids), gradient

    return apply(table)


def wide(x: tf.Tensor) -> tf.Tensor:
    """Casts to at least float32."""
    return tf.cast(x, shapes.statistics_dtype(x.dtype))


def over_tokens(x: tf.Tensor, rank: int) -> tf.Tensor:
    """Sums over all axes but the last `rank`, in at least float32."""
    return tf.reduce_sum(wide(x), axis=range(x.shape.rank - rank))


def _plain_bias_add(x: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    bias = tf.cast(bias, x.dtype)
    return tf.nn.bias_add(x, bias) if bias.shape.rank == 1 else x + bias
