"""Barriers in programs for accelerators: what a compiler must not see through."""

import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla

from reformer_tf.ops.execution import loops


def behind(*tensors: tf.Tensor) -> list[tf.Tensor]:
    """The same tensors, which XLA computes as they are, once, before it goes on; elsewhere there is nothing to do.

    Without a barrier XLA leaves out a rounding to half precision that is followed by a cast to float32: it keeps the
    wider tensor, or computes it again for each use.

        >>> from reformer_tf.ops.execution import barriers
        >>> [x.numpy() for x in barriers.behind(tf.constant(1.0))]
        [1.0]

    Args:
        *tensors: of any shapes and dtypes.
    """
    return list(xla.optimization_barrier(*tensors)) if loops.in_accelerator_program() else list(tensors)
