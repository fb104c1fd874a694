"""A counted loop: the form of `tf.while_loop` that eager mode, graphs and XLA all take."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from reformer_tf.ops import shapes


def count_up(
    steps: shapes.Size, body: Callable[[tf.Tensor, list], list], state: Sequence[Any], parallel_iterations: int = 1
) -> list:
    """Runs `state = body(index, state)` for each index below `steps`.

    Args:
        steps: number of iterations; its being the maximum lets XLA bound what a gradient would keep.
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
