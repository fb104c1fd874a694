"""Ranges of integers that stay out of compiled programs as constants.

TensorFlow computes what follows from constants before it lowers a graph to XLA. Tables of indices that follow from
positions alone then are constants as large as the sequence, each time one is used: half a gigabyte of program at a
million tokens, where a serialized program holds two. XLA itself would compute such numbers where they are used, at no
cost.
"""

import math

import tensorflow as tf

from reformer_tf.ops import shapes
from reformer_tf.ops.execution import barriers, loops


def below(length: shapes.Size) -> tf.Tensor:
    """The integers below a length, int32 `[length]`.

    In a program for an accelerator they are a function of two short ranges behind a barrier, which XLA turns into
    indices of its own, and TensorFlow cannot look through.

        >>> from reformer_tf.ops.execution import index_ranges
        >>> index_ranges.below(3).numpy()
        array([0, 1, 2], dtype=int32)

    Args:
        length: an int, or an int32 scalar.
    """
    if not (shapes.known([length]) and loops.in_accelerator_program()):
        return tf.range(length)
    columns = math.isqrt(max(length - 1, 0)) + 1
    rows = shapes.ceil_div(length, columns)
    first, second = barriers.behind(tf.range(rows) * columns, tf.range(columns))
    return shapes.cut(tf.reshape(first[:, None] + second, [-1]), 0, length)
