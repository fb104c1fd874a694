"""A counted loop and its arrays: the form of `tf.while_loop` that eager mode, graphs and XLA all take.

One step needs no loop and no array: then the body is called once, and `OneElementArray` stands in for its arrays.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla
from tensorflow.python.framework import ops
from tensorflow.python.ops import control_flow_util

from reformer_tf.ops import shapes
from reformer_tf.ops.execution import budgets


class OneElementArray(NamedTuple):
    """A stand-in for a TensorArray with one element. Like a TensorArray, it may be a loop variable."""

    element: Any = None

    def read(self, index: Any) -> tf.Tensor:
        return self.element

    def write(self, index: Any, element: Any) -> "OneElementArray":
        return OneElementArray(element)

    def stack(self) -> tf.Tensor:
        return self.element[None]

    def identity(self) -> "OneElementArray":
        return OneElementArray(tf.identity(self.element))

    @property
    def flow(self) -> tf.Tensor:
        """A tensor that is computed when the element is, for control dependencies."""
        return self.element


# A TensorArray, or a `OneElementArray`.
Array: TypeAlias = Any


def count_up(
    steps: shapes.Size, body: Callable[[shapes.Size, list], list], state: Sequence[Any], parallel_iterations: int = 1
) -> list:
    """Runs `state = body(index, state)` for each index below `steps`; without a loop if `steps` is the integer 1.

    Args:
        steps: number of iterations; given as the maximum too, so that XLA can bound the memory of a gradient.
        body: maps the index, an int32 scalar (or 0), and the list of loop variables to the new list.
        state: initial loop variables: tensors and TensorArrays.
        parallel_iterations: how many iterations may overlap. One at a time bounds the memory.

    Returns:
        The last state.
    """
    if shapes.is_one(steps):
        return body(0, list(state))
    _, *last = tf.while_loop(
        lambda index, *_: index < steps,
        lambda index, *variables: (index + 1, *body(index, list(variables))),
        (tf.constant(0), *state),
        maximum_iterations=steps,
        parallel_iterations=parallel_iterations,
    )
    return last


def concatenated(array: Array) -> tf.Tensor:
    """The elements of an array one after another along their first axis."""
    return array.element if isinstance(array, OneElementArray) else shapes.flat(array.stack(), 2)


def in_xla() -> bool:
    """Whether the graph being traced is compiled by XLA."""
    return bool(control_flow_util.GraphOrParentsInXlaContext(ops.get_default_graph()))


def in_accelerator_program() -> bool:
    """Whether the graph being traced is compiled by XLA for an accelerator."""
    return in_xla() and budgets.on_accelerator()


def array(dtype: tf.DType, size: shapes.Size, element_shape: Sequence[shapes.Size | None], after: tf.Tensor) -> Array:
    """Makes an array whose elements are all written by a loop.

    Args:
        dtype: of the elements.
        size: their number.
        element_shape: their shape; None or a tensor where it is not known.
        after: a tensor that the loop works on. XLA makes the zeros of empty arrays long before the loops, for all loops
            at once. So under XLA the array is filled with a number of `after`, and cannot be made before it is known.
    """
    if shapes.is_one(size):
        return OneElementArray()
    element_shape = [shapes.static(x) for x in element_shape]
    empty = tf.TensorArray(dtype, size=size, element_shape=element_shape, clear_after_read=False)
    if None in element_shape or not in_xla():
        return empty
    number = tf.reduce_sum(tf.reshape(after, [-1])[:1])  # Zero if `after` is empty.
    filled = tf.fill([size, *element_shape], tf.cast(number, dtype))
    if budgets.on_accelerator():
        # A TPU's compiler sees that loops overwrite all of it, and would reserve the memory when the program begins.
        (filled,) = xla.optimization_barrier(filled)
    return empty.unstack(filled)
