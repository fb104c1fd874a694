"""Rotary positions: channels turned in pairs by an angle that grows with the position (Su et al., 2021, section 3.2)."""

import math

import tensorflow as tf

from reformer_tf.ops import shapes

_LONGEST_WAVE = 10_000.0


def rotate(x: tf.Tensor) -> tf.Tensor:
    """Rotates `[..., L, D]` by position: products of two rotated vectors depend on the difference of their positions.

    Args:
        x: floating tensor `[..., L, D]` with D even; channel i is turned together with channel i + D / 2.

    Returns:
        Tensor of the shape and dtype of `x`.
    """
    length, half = shapes.sizes(x)[-2], x.shape[-1] // 2
    frequencies = tf.exp(tf.range(half, dtype=tf.float32) * (-math.log(_LONGEST_WAVE) / half))
    # Angles in fp32: bfloat16 cannot count beyond 256.
    angles = tf.range(length, dtype=tf.float32)[:, None] * frequencies  # [L, D / 2]
    cosine, sine = tf.cast(tf.cos(angles), x.dtype), tf.cast(tf.sin(angles), x.dtype)
    first, second = x[..., :half], x[..., half:]
    return tf.concat([first * cosine - second * sine, second * cosine + first * sine], axis=-1)
