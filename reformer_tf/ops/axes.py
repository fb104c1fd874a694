"""Axes of tensors merged, moved and cut, with every size kept that is known."""

import tensorflow as tf

from reformer_tf.ops import shapes


def flat(x: tf.Tensor, axes: int) -> tf.Tensor:
    """Merges the first axes into one."""
    rest = shapes.sizes(x)[axes:]
    return tf.reshape(x, [-1, *rest])


def cut(x: tf.Tensor, start: shapes.Size, length: shapes.Size) -> tf.Tensor:
    """`x[start : start + length]`, with a static size where there is one (XLA needs it)."""
    # Sizes spelled out: with -1, and a start not known yet, XLA pads the whole to a multiple of it.
    size, *rest = shapes.sizes(x)
    begin, sizes = [start, *(0 for _ in rest)], [length, *rest]
    if shapes.known(begin) and shapes.known(sizes):
        return x if length == size else tf.slice(x, begin, sizes)
    result = tf.slice(x, tf.stack(begin), tf.stack(sizes))
    return shapes.ensured(result, [length if isinstance(length, int) else None, *x.shape[1:]])


def by_position(x: tf.Tensor, heads: shapes.Size) -> tf.Tensor:
    """`[N, L, ...]` to `[B, L, H, ...]`."""
    length, rest = shapes.sizes(x)[1], shapes.sizes(x)[2:]
    x = tf.reshape(x, [-1, heads, length, *rest])
    return tf.transpose(x, [0, 2, 1, *range(3, x.shape.rank)])


def by_sequence(x: tf.Tensor) -> tf.Tensor:
    """`[B, L, H, ...]` to `[N, L, ...]`."""
    _, length, _, *rest = shapes.sizes(x)
    return tf.reshape(tf.transpose(x, [0, 2, 1, *range(3, x.shape.rank)]), [-1, length, *rest])
