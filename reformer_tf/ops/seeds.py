"""Stateless randomness: one explicit seed for each call, combined with coordinates such as layer, row and position.

A seed is an int32 tensor `[2]` = (base, step), or `[3]` = (base, step, row offset), where the row offset is the index
of this batch's first row in the global batch. In `fit` a step is a call of the model, of which accumulated gradients
need several for an update; there a fourth number counts the updates, for what stays as it is for many of them.

All random numbers are functions of the seed and of coordinates, never of slices or chunks; so a recomputation, another
batch layout or more padding see the same random numbers.
"""

import contextlib
import math
from typing import Any

import tensorflow as tf

from reformer_tf.ops.execution import index_ranges, scopes

# A layer's own integer seed; or, in a layer scan, an int32 scalar, the seed of the layer of this step.
LayerSeed = Any


def with_row_offset(seed: Any, batch_size: int | tf.Tensor) -> tf.Tensor:
    """Completes a seed with the index of its first row in the global batch.

    Args:
        seed: int32 `[2]` or `[3]`. With two entries the row offset is that of equal shards of the global batch:
            `replica_id_in_sync_group * batch_size`.
        batch_size: rows of the batch on this replica.

    Returns:
        int32 `[3]`: (base, step, row offset); or `[4]` with the updates so far, inside `counting_updates`.

    Raises:
        ValueError: if `seed` is not an integer vector of two or three entries.
    """
    seed = tf.convert_to_tensor(seed)
    updates = scopes.updates.get()
    sizes = (2, 3) if updates is None else (2, 3, 4)
    if not seed.dtype.is_integer or seed.shape.rank != 1 or seed.shape[0] not in sizes:
        raise ValueError(
            "seed must be an integer tensor of shape [2] = (base, step) or [3] = (base, step, row offset)."
            f" Received: seed={seed}"
        )
    seed = tf.cast(seed, tf.int32)
    if seed.shape[0] > 2:
        return seed
    replica = tf.distribute.get_replica_context()
    offset = 0
    if replica is not None and replica.num_replicas_in_sync > 1:
        offset = tf.cast(replica.replica_id_in_sync_group, tf.int32) * batch_size
    parts = [seed, tf.reshape(tf.cast(offset, tf.int32), [1])]
    if updates is not None:
        parts.append(tf.reshape(tf.cast(updates, tf.int32), [1]))
    return tf.concat(parts, axis=0)


def counting_updates(updates: Any) -> contextlib.AbstractContextManager[None]:
    """Gives the seeds that are completed inside the updates of an optimizer so far, an integer scalar.

    Gradients are computed inside, too: they call layers again with seeds that are complete.
    """
    return scopes.holding(scopes.updates, updates)


def scramble(bits: tf.Tensor) -> tf.Tensor:
    """Mixes the bits of each uint32, bijectively, so that close inputs give unrelated outputs (an avalanche hash)."""
    bits = tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, tf.constant(16, tf.uint32)))
    bits *= tf.constant(0x7FEB352D, tf.uint32)
    bits = tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, tf.constant(15, tf.uint32)))
    bits *= tf.constant(0x846CA68B, tf.uint32)
    return tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, tf.constant(16, tf.uint32)))


def mix(*coordinates: Any) -> tf.Tensor:
    """Hashes integer coordinates into uint32 random bits.

    Args:
        *coordinates: integers, or int32 or uint32 tensors that broadcast against each other. The order matters.

    Returns:
        uint32 tensor of the broadcast shape.
    """
    bits = tf.constant(0x9E3779B9, tf.uint32)
    for coordinate in coordinates:
        if isinstance(coordinate, int):
            coordinate = tf.constant(coordinate % 2**32, tf.uint32)
        elif coordinate.dtype == tf.int32:
            coordinate = tf.bitcast(coordinate, tf.uint32)
        # An odd factor keeps the sum injective in the new coordinate.
        bits = scramble(bits + coordinate * tf.constant(0x85EBCA6B, tf.uint32))
    return bits


def normal(key: tf.Tensor, count: int) -> tf.Tensor:
    """Draws standard normal numbers: a function of a key, in eager mode, graphs and XLA alike up to rounding.

    Args:
        key: uint32 scalar.
        count: how many.

    Returns:
        float32 `[count]`.
    """
    # Bits of our own: those of TensorFlow's generators differ between XLA and the rest when the seed is not a constant.
    bits = mix(key, index_ranges.below(2 * count))
    uniform = tf.reshape(tf.cast(tf.bitwise.right_shift(bits, tf.constant(8, tf.uint32)), tf.float32), [2, count])
    uniform /= 2**24
    radius = tf.sqrt(-2.0 * tf.math.log1p(-uniform[0]))  # Box and Muller's transform
    return radius * tf.cos(2.0 * math.pi * uniform[1])


def layer_key(seed: tf.Tensor, layer_seed: LayerSeed) -> tf.Tensor:
    """Returns the uint32 scalar key of one layer in one call: a function of base, step and the layer's own seed."""
    return mix(seed[0], seed[1], layer_seed)


def row_keys(seed: tf.Tensor, layer_seed: LayerSeed, batch_size: int | tf.Tensor) -> tf.Tensor:
    """Returns one uint32 key for each row of the batch, `[B]`: a function of the row's index in the global batch.

    Args:
        seed: int32 `[3]`, as `with_row_offset` gives it.
        layer_seed: the layer's own integer seed.
        batch_size: B.
    """
    return mix(layer_key(seed, layer_seed), seed[2] + tf.range(batch_size))
