"""Dropout whose mask is a function of a key and of coordinates, so that it does not depend on slices or chunks."""

import tensorflow as tf

from reformer_tf.ops import seeds, shapes
from reformer_tf.ops.execution import index_ranges


def keep_scale(bits: tf.Tensor, rate: float, dtype: tf.DType) -> tf.Tensor:
    """Turns random bits into dropout factors: 0 with probability `rate`, else `1 / (1 - rate)`.

    Args:
        bits: uint32 random bits of any shape.
        rate: the fraction to drop, in [0, 1).
        dtype: floating dtype of the result.

    Returns:
        Tensor of the shape of `bits`.
    """
    threshold = tf.constant(min(round(rate * 2**32), 2**32 - 1), tf.uint32)
    scale = tf.constant(1.0 / (1.0 - rate), dtype)
    return tf.where(bits >= threshold, scale, tf.zeros([], dtype))


def dropout(
    x: tf.Tensor, rate: float, seed: tf.Tensor, layer_seed: seeds.LayerSeed, start: shapes.Size = 0
) -> tf.Tensor:
    """Applies dropout to activations `[B, L, M]`.

    The mask is a function of (seed, layer, row in the global batch, position, channel): padding, the batch layout or
    chunking never change it.

    Args:
        x: floating tensor `[B, L, M]`.
        rate: the fraction to drop, in [0, 1).
        seed: int32 `[3]`, as `seeds.with_row_offset` gives it.
        layer_seed: the layer's own integer seed.
        start: the position of the first token of `x`.

    Returns:
        Tensor of the shape and dtype of `x`.
    """
    if rate == 0.0:
        return x
    batch, length, width = shapes.sizes(x)
    rows = seeds.row_keys(seed, layer_seed, batch)
    rows_and_positions = seeds.mix(rows[:, None], start + index_ranges.below(length))  # [B, L]
    bits = seeds.scramble(rows_and_positions[:, :, None] + seeds.mix(tf.range(width)))
    return x * keep_scale(bits, rate, x.dtype)
