"""The random rows of attention by features: orthogonal in blocks (Choromanski et al., 2021, section 2.4).

A block of D rows is a uniformly distributed orthogonal matrix times the rows' lengths. The Q of a QR decomposition is
uniformly distributed only if the signs of the diagonal of R are put into it (Mezzadri, 2007, "How to generate random
matrices from the classical compact groups"). Lengths are those of other normal vectors, so that each row by itself is
standard normal; or all sqrt(D), in the regularised kind.
"""

import math

import numpy as np
import tensorflow as tf

from reformer_tf.ops import seeds, shapes


def stored_rows(seed: int, count: int, size: int, scaled: bool) -> np.ndarray:
    """Draws the rows that a layer keeps as a weight.

    The normal numbers are the same bits on every machine and numpy version (the stream of `RandomState` is frozen).

    Args:
        seed: non-negative integer.
        count: r, the number of rows.
        size: D.
        scaled: whether all rows have the length sqrt(D).

    Returns:
        float32 array `[r, D]`.
    """
    stream = np.random.RandomState(seed % 2**32)
    normal = [stream.normal(size=shape) for shape in _shapes(count, size)]
    q, r = np.linalg.qr(normal[0])
    rows = np.swapaxes(q * np.sign(np.diagonal(r, axis1=-2, axis2=-1))[:, None, :], -1, -2)
    lengths = math.sqrt(size) if scaled else np.linalg.norm(normal[1], axis=-1, keepdims=True)
    return (rows.reshape([-1, size])[:count] * lengths).astype(np.float32)


def drawn_rows(seed: tf.Tensor, layer_seed: seeds.LayerSeed, count: int, size: int, scaled: bool) -> tf.Tensor:
    """Draws the rows of some training steps: a function of base, step and layer, the same on every replica.

    Args:
        seed: int32 `[2]` or `[3]` = (base, step, ...).
        layer_seed: the layer's own integer seed.
        count: r.
        size: D.
        scaled: whether all rows have the length sqrt(D).

    Returns:
        float32 `[r, D]`.
    """
    shape, lengths_shape = _shapes(count, size)
    numbers = seeds.normal(seeds.layer_key(seed, layer_seed), math.prod(shape) + math.prod(lengths_shape))
    normal, others = tf.split(numbers, [math.prod(shape), math.prod(lengths_shape)])
    q, r = tf.linalg.qr(tf.reshape(normal, shape))
    rows = tf.linalg.matrix_transpose(q * tf.sign(tf.linalg.diag_part(r))[:, None, :])
    rows = tf.reshape(rows, [-1, size])[:count]
    if scaled:
        return rows * math.sqrt(size)
    return rows * tf.norm(tf.reshape(others, lengths_shape), axis=-1, keepdims=True)


def _shapes(count: int, size: int) -> tuple[list[int], list[int]]:
    """The shapes of the normal numbers for directions and for lengths."""
    return [shapes.ceil_div(count, size), size, size], [count, size]


def redraw_seed(seed: tf.Tensor, every: int) -> tf.Tensor:
    """The seed (base, step // every) of rows that stay for some steps.

    Args:
        seed: int32 `[2]` or more, see `seeds`; the updates of an optimizer go before the step.
        every: after how many steps they are redrawn.

    Returns:
        int32 `[2]`.
    """
    step = seed[3] if seed.shape[0] == 4 else seed[1]
    return tf.stack([seed[0], step // every])
