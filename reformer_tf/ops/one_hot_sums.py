"""Sums of rows by id as products with one-hot vectors: the gradient of a look-up without a scatter.

An accelerator adds the rows of a scatter in no fixed sequence, so that two runs differ where ids collide, and a TPU
adds them one after another. A product costs what the head of a language model costs, and its sums are always the same.
"""

import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla
from tensorflow.compiler.xla import xla_data_pb2

from reformer_tf.ops import shapes
from reformer_tf.ops.execution import budgets, loops
from reformer_tf.ops.execution.sequence_slices import SequenceSlices


def sum_by_id(rows: tf.Tensor, ids: tf.Tensor, count: int) -> tf.Tensor:
    """Adds up the rows of each id, in at least float32.

        >>> from reformer_tf.ops import one_hot_sums
        >>> one_hot_sums.sum_by_id(tf.constant([[1.0], [2.0], [4.0]]), tf.constant([1, 0, 1]), 3).numpy()[:, 0]
        array([2., 5., 0.], dtype=float32)

    Args:
        rows: floating tensor `[T, M]`. Products with rows in half precision are exact. A row that is not finite makes
            the sums of all ids NaN, because it is multiplied by zero for all others.
        ids: integers `[T]` in [0, count); rows of other ids are left out.
        count: V.

    Returns:
        `[V, M]`.
    """
    dtype = shapes.statistics_dtype(rows.dtype)
    total = tf.zeros([count, rows.shape[-1]], dtype)
    if rows.shape[0] == 0:
        return total
    slices = SequenceSlices(1, shapes.sizes(rows)[0], max(budgets.current().chunk_bytes // (4 * count), 1))
    rows, ids = (slices.prepared(x[None]) for x in (rows, ids))  # Of a single sequence; zeros pad its last slice.

    def add(index: shapes.Size, state: list) -> list:
        some, own = slices.take(rows, index)[0], slices.take(ids, index)[0]
        # Accelerators multiply float32 in as few bits as bfloat16 has, unless they are asked not to.
        product = tf.matmul if some.dtype == tf.bfloat16 else _product
        return [state[0] + product(tf.one_hot(own, count, axis=0, dtype=dtype), tf.cast(some, dtype))]

    return slices.sweep(add, [total])[0]


def _product(one_hot: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """The product of `[V, T]` and `[T, M]`, both in float32 or float64, without a rounding of the rows."""
    if not loops.in_xla():  # For examples and tests: layers sum this way only in programs.
        return tf.matmul(one_hot, rows)
    axes = xla_data_pb2.DotDimensionNumbers(lhs_contracting_dimensions=[1], rhs_contracting_dimensions=[0])
    precision = xla_data_pb2.PrecisionConfig(operand_precision=2 * [xla_data_pb2.PrecisionConfig.HIGHEST])
    return xla.dot_general(one_hot, rows, axes, precision)
