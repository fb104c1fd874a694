"""A counted loop: the form of `tf.while_loop` that eager mode, graphs and XLA all take."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import ops
from tensorflow.python.ops import control_flow_util

from reformer_tf.ops import shapes


def count_up(
    steps: shapes.Size, body: Callable[[tf.Tensor, list], list], state: Sequence[Any], parallel_iterations: int = 1
) -> list:
    """Runs `state = body(index, state)` for each index below `steps`.

    Args:
        steps: number of iterations; given as the maximum too, so that XLA can bound the memory of a gradient.
        body: maps an int32 scalar and the list of loop variables to the new list.
        state: initial loop variables: tensors and TensorArrays.
        parallel_iterations: how many iterations may overlap. One at a time bounds the memory.

    Returns:
        The last state.
    """
    _, *last = tf.while_loop(
        lambda index, *_: index < steps,
        lambda index, *variables: (index + 1, *body(index, list(variables))),
        (tf.constant(0), *state),
        maximum_iterations=steps,
        parallel_iterations=parallel_iterations,
    )
    return last


def in_xla() -> bool:
    """Whether the graph being traced is compiled by XLA."""
    return bool(control_flow_util.GraphOrParentsInXlaContext(ops.get_default_graph()))


def array(dtype: tf.DType, size: shapes.Size, element_shape: Sequence[Any], after: tf.Tensor) -> tf.TensorArray:
    """Makes a TensorArray whose elements are all written by a loop.

    Args:
        dtype: of the elements.
        size: their number.
        element_shape: their shape, None where it is not known.
        after: a tensor that the loop works on. XLA makes the zeros of empty arrays long before the loops, for all loops
            at once. So under XLA the array is filled with a number of `after`, and cannot be made before it is known.
    """
    empty = tf.TensorArray(dtype, size=size, element_shape=element_shape, clear_after_read=False)
    if None in element_shape or not in_xla():
        return empty
    number = tf.reduce_sum(tf.reshape(after, [-1])[:1])  # Zero if `after` is empty.
    return empty.unstack(tf.fill([size, *element_shape], tf.cast(number, dtype)))
