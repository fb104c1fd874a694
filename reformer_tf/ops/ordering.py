"""The order of tokens in one round, and the single number that says who sees whom in it.

A hash round orders tokens by (bucket, position), the local round by position; masked tokens come last and take no
rank. With `u = rank + C * bucket` two tokens are in the same bucket and less than C ranks apart exactly when their u
differ by less than C, wherever the boundaries of chunks fall. So one subtraction and one unsigned comparison is the
whole mask of a round, and rounds can be compared pair by pair.
"""

from typing import NamedTuple

import tensorflow as tf

from reformer_tf.ops import shapes

# u of a masked token; `near` sends it out of everyone's reach.
NOWHERE = -1
_FAR = 2**29


class Order(NamedTuple):
    """One round's order of N sequences (rows and heads) of length L.

    Attributes:
        tokens: int32 `[N, L]`, the position of the token at each rank.
        ranks: int32 `[N, L]`, the rank of the token at each position, the inverse of `tokens`.
        u: int32 `[N, L]`, by position: `rank + C * bucket`, `NOWHERE` for masked tokens.
    """

    tokens: tf.Tensor
    ranks: tf.Tensor
    u: tf.Tensor


def hash_order(buckets: tf.Tensor, valid: tf.Tensor | None, num_buckets: int, chunk_length: int) -> Order:
    """Orders tokens by (bucket, position).

    Args:
        buckets: int32 `[N, L]`, in `[0, num_buckets)`.
        valid: boolean `[N, L]`, False for masked tokens, or None.
        num_buckets: the bucket that masked tokens sort into, one more than all others.
        chunk_length: C.
    """
    if valid is not None:
        buckets = tf.where(valid, buckets, num_buckets)
    tokens = tf.argsort(buckets, axis=-1, stable=True)
    ranks = invert(tokens)
    return Order(tokens, ranks, _hide_masked(ranks + chunk_length * buckets, valid))


def local_order(count: shapes.Size, length: shapes.Size, valid: tf.Tensor | None) -> Order:
    """Orders tokens by position, masked ones last.

    Args:
        count: N.
        length: L.
        valid: boolean `[N, L]`, False for masked tokens, or None.
    """
    if valid is None:
        return position_order(count, length, None)
    present = tf.cast(valid, tf.int32)
    ranks = tf.where(
        valid,
        tf.cumsum(present, axis=-1) - 1,
        tf.reduce_sum(present, axis=-1, keepdims=True) + tf.cumsum(1 - present, axis=-1) - 1,
    )
    return Order(invert(ranks), ranks, _hide_masked(ranks, valid))


def position_order(count: shapes.Size, length: shapes.Size, valid: tf.Tensor | None) -> Order:
    """Orders tokens by position, masked ones where they are.

    Args:
        count: N.
        length: L.
        valid: boolean `[N, L]`, False for masked tokens, or None.
    """
    positions = tf.broadcast_to(tf.range(length), tf.stack([count, length]))
    return Order(positions, positions, _hide_masked(positions, valid))


def invert(permutations: tf.Tensor) -> tf.Tensor:
    """Inverts each row of int32 `[N, L]`."""
    count, length = shapes.sizes(permutations)
    starts = tf.range(count)[:, None] * length
    flat = tf.reshape(permutations + starts, [-1, 1])
    positions = tf.reshape(tf.broadcast_to(tf.range(length), tf.shape(permutations)), [-1])
    # Not tf.math.invert_permutation: compiled by XLA it fails where the buckets depend on a seed known at run time.
    return tf.reshape(tf.scatter_nd(flat, positions, tf.shape(positions)), tf.shape(permutations))


def near(query_u: tf.Tensor, key_u: tf.Tensor, chunk_length: int, causal: bool, exclude_self: bool) -> tf.Tensor:
    """Whether each query meets each key in a round's window.

    Args:
        query_u: int32 `[..., Q]`.
        key_u: int32 `[..., W]`.
        chunk_length: C. The window is the token itself and the C - 1 entries before it (causal) or on either side.
        causal: whether entries after the token are out of its window.
        exclude_self: whether the token itself is.

    Returns:
        Boolean `[..., Q, W]`.
    """
    query_u = tf.where(query_u == NOWHERE, _FAR, query_u)
    key_u = tf.where(key_u == NOWHERE, -_FAR, key_u)
    distance = query_u[..., :, None] - key_u[..., None, :]
    first = int(exclude_self) if causal else 1 - chunk_length
    # As unsigned numbers those below `first` are large: one comparison checks both ends.
    result = tf.bitcast(distance - first, tf.uint32) < tf.constant(chunk_length - first, tf.uint32)
    if exclude_self and not causal:
        result = tf.logical_and(result, distance != 0)
    return result


def _hide_masked(u: tf.Tensor, valid: tf.Tensor | None) -> tf.Tensor:
    return u if valid is None else tf.where(valid, u, NOWHERE)


def check_range(length: shapes.Size, num_buckets: int, chunk_length: int) -> None:
    """Refuses sizes whose u would not fit.

    Raises:
        ValueError: if `length + chunk_length * num_buckets` reaches 2**29.
    """
    reach = chunk_length * (num_buckets + 1) + (length if isinstance(length, int) else 0)
    if reach >= _FAR:
        raise ValueError(
            "num_buckets * chunk_length + length must stay below 2**29."
            f" Received: num_buckets={num_buckets}, chunk_length={chunk_length}, length={length}"
        )
