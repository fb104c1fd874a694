"""Barriers in programs for accelerators: what a compiler must not see through."""

import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla

from reformer_tf.ops import shapes
from reformer_tf.ops.execution import loops


def behind(*tensors: tf.Tensor) -> list[tf.Tensor]:
    """The same tensors, which XLA computes as they are, once, before it goes on; elsewhere there is nothing to do.

    Without a barrier XLA leaves out a rounding to half precision that is followed by a cast to float32: it keeps the
    wider tensor, or computes it again for each use.

        >>> from reformer_tf.ops.execution import barriers
        >>> [float(x) for x in barriers.behind(tf.constant(1.0))]
        [1.0]

    Args:
        *tensors: of any shapes and dtypes.
    """
    return list(xla.optimization_barrier(*tensors)) if loops.in_accelerator_program() else list(tensors)


def after(x: tf.Tensor, *others: tf.Tensor) -> tf.Tensor:
    """The same numbers `x`, which XLA cannot know before some other tensors; elsewhere there is nothing to do.

    A compiler moves out of a loop what every iteration computes alike, as a whole: a cast of a slice becomes a cast of
    all slices. A TPU's looks through barriers for that, so zero is added, which depends on a number of each.

        >>> from reformer_tf.ops.execution import barriers
        >>> float(barriers.after(tf.constant(2.0), tf.constant([1.0])))
        2.0

    Args:
        x: a tensor of numbers.
        *others: floating tensors of known ranks.
    """
    if not (others and loops.in_accelerator_program()):
        return x
    numbers = [tf.cast(shapes.first(other), tf.float32) for other in others]
    return x + tf.cast(tf.add_n(numbers) > tf.float32.max, x.dtype)
