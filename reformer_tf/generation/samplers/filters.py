"""Functions of logits for samplers. Parameters may be numbers, or tensors `[B]` with one for each row.

Shape letters: B rows, V tokens of the vocabulary.
"""

from typing import Any

import tensorflow as tf

from reformer_tf.ops import seeds


def penalize(logits: tf.Tensor, seen: Any, penalty: Any) -> tf.Tensor:
    """Makes tokens that a row has already less likely.

    Args:
        logits: float32 `[B, V]`.
        seen: bool `[B, V]`.
        penalty: at least 1.
    """
    penalty = _per_row(penalty)
    return tf.where(seen, tf.where(logits > 0, logits / penalty, logits * penalty), logits)


def top_k(logits: tf.Tensor, k: Any) -> tf.Tensor:
    """Keeps the k likeliest tokens; of equal ones those with the smaller ids.

    Args:
        logits: float32 `[B, V]`.
        k: how many; 0 or V for all.

    Returns:
        float32 `[B, V]`, minus infinity for the others.
    """
    k = tf.cast(_per_row(k), tf.int32)
    return tf.where((k <= 0) | (_ranks(logits) < k), logits, -float("inf"))


def top_p(logits: tf.Tensor, p: Any) -> tf.Tensor:
    """Keeps the smallest set of likeliest tokens whose probability is at least p (Holtzman et al., 2020, section 3.1).

    Args:
        logits: float32 `[B, V]`.
        p: above 0; with 1 or more, all tokens stay.

    Returns:
        float32 `[B, V]`, minus infinity for the others.
    """
    p = tf.cast(_per_row(p), tf.float32)
    ranking = tf.argsort(logits, axis=-1, direction="DESCENDING", stable=True)
    sorted_probabilities = tf.gather(tf.nn.softmax(logits, axis=-1), ranking, batch_dims=1)
    before = tf.cumsum(sorted_probabilities, axis=-1, exclusive=True)  # The sum over likelier tokens.
    included = tf.gather(before < p, tf.argsort(ranking, axis=-1), batch_dims=1)
    return tf.where(included | (p >= 1.0), logits, -float("inf"))


def draw(logits: tf.Tensor, seed: Any, positions: Any) -> tf.Tensor:
    """Draws a token for each row, with the probabilities of a softmax (the Gumbel-max trick).

    Args:
        logits: float32 `[B, V]`; minus infinity is never drawn.
        seed: integer scalar, or `[B]` with one for each row. Rows with the same seed, position and logits draw the
            same token, whatever their index.
        positions: int32 `[B]`, the index of the new token in its row.

    Returns:
        int32 `[B]`.
    """
    keys = seeds.mix(tf.cast(seed, tf.int32), tf.cast(positions, tf.int32))
    bits = seeds.mix(keys[:, None], tf.range(tf.shape(logits)[1])[None])
    # Midpoints of 2**23 intervals: neither 0 nor 1, and exact in float32.
    uniform = (tf.cast(tf.bitwise.right_shift(bits, tf.constant(9, tf.uint32)), tf.float32) + 0.5) * 2.0**-23
    return tf.argmax(logits - tf.math.log(-tf.math.log(uniform)), axis=-1, output_type=tf.int32)


def _ranks(logits: tf.Tensor) -> tf.Tensor:
    """The rank of each token in its row, 0 for the likeliest."""
    return tf.argsort(tf.argsort(logits, axis=-1, direction="DESCENDING", stable=True), axis=-1)


def _per_row(parameter: Any) -> tf.Tensor:
    """Reshapes a parameter to broadcast against `[B, V]`."""
    parameter = tf.convert_to_tensor(parameter)
    return parameter if parameter.shape.rank == 0 else parameter[:, None]
