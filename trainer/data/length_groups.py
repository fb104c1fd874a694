"""Training batches of examples of similar length: less of them is padding.

As without groups, the rows of all steps are one endless list of epochs, each a permutation of all examples. Within
blocks of `BATCHES` batches, examples are sorted by their length and cut into batches, which are then permuted. Lengths
are enlarged at random by up to an eighth before, so that where an epoch is no longer than a block, its batches are not
those of the epoch before again. The examples of a step are a function of the seed and the step, so nothing has to be
saved for an exact resume. The end of one epoch stays before the beginning of the next, so that every example comes
exactly once an epoch.

Shape letters: N examples, B rows of a global batch, W rows of a block.
"""

from __future__ import annotations

import tensorflow as tf

from trainer.data.shuffle import random_bits, shuffled_indices

BATCHES = 32
"""Number of batches in a block. More leave less padding, and have more of the same examples together each epoch."""

_BITS = 40
_EIGHTH_BITS = 7  # Random factors of lengths, from 1 to 1 1/8, in steps of 2**-10.


def grouped_indices(step: tf.Tensor, batch_size: int, sizes: tf.Tensor, seed: int) -> tf.Tensor:
    """Chooses the examples of a step.

    Args:
        step: scalar int64.
        batch_size: B.
        sizes: `[N]` int64, length of each example.
        seed: seed of the permutations; 64 bits of it count.

    Returns:
        `[B]` int64 indices of examples.
    """
    count = sizes.shape[0]
    block, position = step // BATCHES, step % BATCHES
    rows = block * (BATCHES * batch_size) + tf.range(BATCHES * batch_size, dtype=tf.int64)  # [W]
    indices, epochs = shuffled_indices(rows, count, seed), rows // count
    epochs -= epochs[0]
    lengths = tf.gather(sizes, indices) * (2 ** (_EIGHTH_BITS + 3) + _draw(rows, _EIGHTH_BITS, seed + 1))
    by_length = tf.argsort(epochs * (tf.reduce_max(lengths) + 1) + lengths, stable=True)
    batches = tf.reshape(tf.gather(indices, by_length), [BATCHES, batch_size])
    # A batch with the end of one epoch and the beginning of the next comes between the batches of the two.
    ends = tf.reshape(epochs, [BATCHES, batch_size])  # Sorted already, and the same after sorting by length.
    draws = _draw(step - position + tf.range(BATCHES, dtype=tf.int64), _BITS, seed + 2)
    permuted = tf.argsort((ends[:, 0] + ends[:, -1]) * 2**_BITS + draws, stable=True)
    return batches[permuted[position]]


def _draw(numbers: tf.Tensor, bits: int, seed: int) -> tf.Tensor:
    """Draws an integer of some bits for each number, int64."""
    return tf.cast(tf.bitwise.right_shift(random_bits(numbers, seed), tf.constant(64 - bits, tf.uint64)), tf.int64)
