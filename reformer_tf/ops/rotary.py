"""Rotary positions: pairs of channels rotated by an angle that grows with the position (Su et al., 2021)."""

import math

import numpy as np
import tensorflow as tf

from reformer_tf.ops import shapes
from reformer_tf.ops.execution import index_ranges

_LONGEST_WAVE = 10_000.0

# A frequency, in rotations per position, is an integer with this many bits more than 32.
_FINER = 12


def rotate(x: tf.Tensor, start: shapes.Size = 0) -> tf.Tensor:
    """Rotates vectors by position: products of two rotated vectors depend on the difference of their positions.

    Args:
        x: floating tensor `[B, L, H, D]` with D even; channel i is rotated together with channel i + D / 2.
        start: the position of the first token; or int32 `[B]`, one for each row.

    Returns:
        Tensor of the shape and dtype of `x`.
    """
    length, half = shapes.sizes(x)[1], x.shape[-1] // 2
    # `[1, L]`, or `[B, L]`.
    positions = tf.reshape(start, [-1, 1]) + index_ranges.below(length)
    cosine, sine = (tf.cast(part, x.dtype) for part in _cosine_and_sine(positions, half, x.dtype))
    first, second = x[..., :half], x[..., half:]
    return tf.concat([first * cosine - second * sine, second * cosine + first * sine], axis=-1)


def _cosine_and_sine(positions: tf.Tensor, half: int, dtype: tf.DType) -> tuple[tf.Tensor, tf.Tensor]:
    """Cosine and sine `[..., L, 1, D / 2]` of the angles of positions, int32 `[..., L]`; in float64 if `dtype` is."""
    frequencies = np.exp(np.arange(half) * (-math.log(_LONGEST_WAVE) / half)) / (2.0 * math.pi)
    if dtype == tf.float64:
        angles = tf.cast(positions, tf.float64)[..., None, None] * (2.0 * math.pi * frequencies)
    else:
        angles = 2.0 * math.pi * _fractions(positions, frequencies)
    return tf.cos(angles), tf.sin(angles)


def _fractions(positions: tf.Tensor, frequencies: np.ndarray) -> tf.Tensor:
    """The fraction of `positions * frequencies`, from -1/2 to 1/2, float32 `[..., L, 1, D / 2]`.

    A product in float32 would be off by 0.06 at the millionth position, and devices are slow in float64 or lack it. So
    rotations are counted in units of 2 ** -32, where full rotations overflow; angles are exact to 1e-6 for a million
    positions, and there may be 2 ** 28 positions.
    """
    steps = np.round(frequencies * 2.0 ** (32 + _FINER)).astype(np.uint64)
    coarse, fine = (tf.constant(part.astype(np.uint32)) for part in (steps >> _FINER, steps % 2**_FINER))
    unsigned = tf.bitcast(positions, tf.uint32)[..., None, None]
    # The position loses some bits first, so that this product does not overflow.
    rest = tf.bitwise.right_shift(tf.bitwise.right_shift(unsigned, _bits(8)) * fine, _bits(_FINER - 8))
    return tf.cast(tf.bitcast(unsigned * coarse + rest, tf.int32), tf.float32) * 2.0**-32


def _bits(count: int) -> tf.Tensor:
    return tf.constant(count, tf.uint32)
