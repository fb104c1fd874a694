"""Rotary positions: pairs of channels turned by an angle that grows with the position (Su et al., 2021)."""

import math

import tensorflow as tf

from reformer_tf.ops import shapes

_LONGEST_WAVE = 10_000.0


def rotate(x: tf.Tensor, start: shapes.Size = 0) -> tf.Tensor:
    """Rotates vectors by position: products of two rotated vectors depend on the difference of their positions.

    Args:
        x: floating tensor `[B, L, H, D]` with D even; channel i is turned together with channel i + D / 2.
        start: the position of the first.

    Returns:
        Tensor of the shape and dtype of `x`.
    """
    length, half = shapes.sizes(x)[1], x.shape[-1] // 2
    # Angles in float64: a float32 one is off by 0.06 at the millionth position.
    frequencies = tf.exp(tf.range(half, dtype=tf.float64) * (-math.log(_LONGEST_WAVE) / half))
    angles = tf.cast(start + tf.range(length), tf.float64)[:, None, None] * frequencies  # [L, 1, D / 2]
    cosine, sine = tf.cast(tf.cos(angles), x.dtype), tf.cast(tf.sin(angles), x.dtype)
    first, second = x[..., :half], x[..., half:]
    return tf.concat([first * cosine - second * sine, second * cosine + first * sine], axis=-1)
