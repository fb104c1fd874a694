"""Training batches of examples of similar length: less of them is padding.

As without groups, the rows of all steps are one endless list of epochs, each a permutation of all examples. Within
blocks of `BATCHES` batches, examples are sorted by their length and cut into batches, which are then permuted. The
examples of a step are a function of the seed and the step, so nothing has to be saved for an exact resume. The end of
one epoch stays before the beginning of the next, so that every example comes exactly once an epoch.

Shape letters: N examples, B rows of a global batch, W rows of a block.
"""

from __future__ import annotations

import tensorflow as tf

from trainer.data.shuffle import random_bits, shuffled_indices

BATCHES = 32
"""Number of batches in a block. More leave less padding, and have more of the same examples together each epoch."""

_RANDOM_BITS = 40


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
    longest = tf.reduce_max(sizes)
    by_length = tf.argsort(epochs * (longest + 1) + tf.gather(sizes, indices), stable=True)
    batches = tf.reshape(tf.gather(indices, by_length), [BATCHES, batch_size])
    # A batch with the end of one epoch and the beginning of the next comes between the batches of the two.
    ends = tf.reshape(epochs, [BATCHES, batch_size])  # Sorted already, and the same after sorting by length.
    bits = random_bits(step - position + tf.range(BATCHES, dtype=tf.int64), seed + 1)
    draws = tf.cast(tf.bitwise.right_shift(bits, tf.constant(64 - _RANDOM_BITS, tf.uint64)), tf.int64)
    permuted = tf.argsort((ends[:, 0] + ends[:, -1]) * 2**_RANDOM_BITS + draws, stable=True)
    return batches[permuted[position]]
