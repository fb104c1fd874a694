"""Writing into a tensor without copying it, for what a loop keeps and changes little by little.

TensorFlow's scatter on a loop variable copies it on CPU: 22 ms a step for 256 MiB, where this takes microseconds. XLA
turns a scatter in a loop into an update in place by itself.
"""

import tensorflow as tf

from reformer_tf.ops.execution import loops


def set_rows(x: tf.Tensor, rows: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Writes rows of a tensor, which is used up: only the result may be read afterwards.

    The tensor must have been computed, not be a constant or the value of a variable, which would change with it.

    Args:
        x: `[T, ...]`.
        rows: int32 `[n]`, each below T, none twice.
        values: `[n, ...]` in the dtype of `x`.

    Returns:
        `[T, ...]`, in the memory of `x` unless XLA compiles it.
    """
    if loops.in_xla():
        return tf.tensor_scatter_nd_update(x, rows[:, None], values)
    return tf.raw_ops.InplaceUpdate(x=x, i=rows, v=values)


def after(read: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """`x`, but only when `read` has been computed of it.

    What is written into `x` next would else be seen by reads that are still to come, where no other order is given.
    """
    with tf.control_dependencies([read]):
        return tf.identity(x)
