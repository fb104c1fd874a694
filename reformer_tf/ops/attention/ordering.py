"""The sorted order of tokens in one round, and the sort keys that tell which tokens see each other in it.

A hash round sorts tokens by (bucket, position), the local round by position; masked tokens come last and take no
rank. With `sort_key = rank + C * bucket` two tokens are in the same bucket and less than C ranks apart exactly when
their sort keys differ by less than C, wherever the boundaries of blocks fall. So one subtraction and one unsigned
comparison make the whole mask of a round, and rounds can be compared pair by pair.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla

from reformer_tf.ops import shapes
from reformer_tf.ops.execution import budgets, compiled_functions, index_ranges, loops

# The sort key of a masked token; `near` moves it out of reach of all others.
NOWHERE = -1
_LARGEST = 2**29


class SortedOrder(NamedTuple):
    """One round's sorted order of N sequences (rows and heads) of length L.

    Attributes:
        tokens: int32 `[N, L]`, the position of the token at each rank.
        ranks: int32 `[N, L]`, the rank of the token at each position, the inverse of `tokens`.
        sort_keys: int32 `[N, L]`, by position: `rank + C * bucket`, `NOWHERE` for masked tokens.
    """

    tokens: tf.Tensor
    ranks: tf.Tensor
    sort_keys: tf.Tensor


def hash_sorted_order(buckets: tf.Tensor, valid: tf.Tensor | None, num_buckets: int, chunk_length: int) -> SortedOrder:
    """Sorts tokens by (bucket, position).

    Args:
        buckets: int32 `[N, L]`, in `[0, num_buckets)`.
        valid: boolean `[N, L]`, False for masked tokens, or None.
        num_buckets: the number of buckets; masked tokens sort into a bucket of this index, after all others.
        chunk_length: C.
    """
    if valid is not None:
        buckets = tf.where(valid, buckets, num_buckets)
    tokens = _by_bucket(buckets, num_buckets)
    ranks = invert(tokens)
    return SortedOrder(tokens, ranks, _hide_masked(ranks + chunk_length * buckets, valid))


def hash_sorted_orders(
    buckets: tf.Tensor, valid: tf.Tensor | None, num_buckets: int, chunk_length: int
) -> list[SortedOrder]:
    """Computes `hash_sorted_order` of each round; on accelerators, by one sort for all of them.

    Args:
        buckets: int32 `[N, R, L]`, for each round as in `hash_sorted_order`.
        valid: as in `hash_sorted_order`.
        num_buckets: as in `hash_sorted_order`.
        chunk_length: C.
    """
    rounds = tf.unstack(buckets, num=buckets.shape[1], axis=1)
    if not budgets.on_accelerator():
        return [hash_sorted_order(x, valid, num_buckets, chunk_length) for x in rounds]
    everywhere = None if valid is None else tf.tile(valid, [len(rounds), 1])
    together = hash_sorted_order(tf.concat(rounds, axis=0), everywhere, num_buckets, chunk_length)
    split = [tf.split(x, len(rounds)) for x in together]
    return [SortedOrder(*parts) for parts in zip(*split, strict=True)]


def _by_bucket(buckets: tf.Tensor, num_buckets: int) -> tf.Tensor:
    """Positions by (bucket, position), int32 `[N, L]`, of buckets from 0 to `num_buckets`."""
    length = shapes.sizes(buckets)[1]
    bits = max(length - 1, 0).bit_length() if shapes.known([length]) else None
    if not budgets.on_accelerator() or bits is None or (num_buckets + 1) << bits > 2**31:
        return tf.argsort(buckets, axis=-1, stable=True)
    # One number a token sorts faster than a bucket and the position that goes with it.
    combined = tf.bitwise.left_shift(buckets, bits) + index_ranges.below(length)
    combined = xla.sort(combined) if loops.in_xla() else tf.sort(combined, axis=-1)
    return tf.bitwise.bitwise_and(combined, 2**bits - 1)


def hash_sort_keys(buckets: tf.Tensor, valid: tf.Tensor | None, num_buckets: int, chunk_length: int) -> tf.Tensor:
    """Computes `SortedOrder.sort_keys` of hash rounds without the sorted orders.

    Args:
        buckets: int32 `[N, R, L]`, for each round as in `hash_sorted_order`.
        valid: as in `hash_sorted_order`.
        num_buckets: as in `hash_sorted_order`.
        chunk_length: C.

    Returns:
        int32 `[N, L, R]`.
    """
    if valid is not None:
        buckets = tf.where(valid[:, None], buckets, num_buckets)
    sort_keys = _ranks(buckets, num_buckets) + chunk_length * buckets
    return tf.transpose(sort_keys if valid is None else tf.where(valid[:, None], sort_keys, NOWHERE), [0, 2, 1])


def _ranks(buckets: tf.Tensor, num_buckets: int) -> tf.Tensor:
    """Computes the rank of each token by (bucket, position), int32 `[N, R, L]`."""
    count, rounds, length = shapes.sizes(buckets)
    if shapes.known([length]) and length > budgets.current().longest_counted:
        return _sorted(buckets)
    if loops.in_xla():
        return _counting(num_buckets)(buckets)
    pays = compiled_functions.worth_compiling(count * rounds * length * length)
    return compiled_functions.compiled(_counting, num_buckets, pays=pays, instead=_sorted)(buckets)


def _sorted(buckets: tf.Tensor) -> tf.Tensor:
    """Computes `_ranks` by sorting."""
    rows = tf.reshape(buckets, [-1, shapes.sizes(buckets)[2]])
    return tf.reshape(invert(tf.argsort(rows, axis=-1, stable=True)), tf.shape(buckets))


def _counting(num_buckets: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """Makes the function that computes `_ranks` by counting the tokens that sort before each token.

    XLA sorts slowly on CPU, but fuses comparisons and sums. Several comparisons for each step of the sum, and
    floating-point numbers where they are exact, make the counting seven times as fast.
    """

    def ranks(buckets: tf.Tensor) -> tf.Tensor:
        count, rounds, length = shapes.sizes(buckets)
        together = budgets.current().counted_together
        exact = shapes.known([length]) and (num_buckets + 1) * length < 2**24
        combined = tf.cast(buckets, tf.int64) * tf.cast(length, tf.int64) + tf.range(tf.cast(length, tf.int64))
        combined = tf.cast(combined, tf.float32) if exact else combined
        padded = tf.pad(combined, [[0, 0], [0, 0], [0, -length % together]], constant_values=combined.dtype.max)
        others = tf.unstack(tf.reshape(padded, [count, rounds, -1, 1, together]), axis=-1)
        before = sum(tf.cast(other < combined[..., None, :], combined.dtype) for other in others)
        return tf.cast(tf.reduce_sum(before, axis=-2), tf.int32)

    return ranks


def local_sort_keys(length: shapes.Size, valid: tf.Tensor | None) -> tf.Tensor:
    """Computes `SortedOrder.sort_keys` of a local round: int32 `[N, L, 1]`, or `[1, L, 1]` if no token is masked.

    Args:
        length: L.
        valid: boolean `[N, L]`, False for masked tokens, or None.
    """
    if valid is None:
        return tf.reshape(index_ranges.below(length), [1, length, 1])
    return tf.where(valid, tf.cumsum(tf.cast(valid, tf.int32), axis=-1) - 1, NOWHERE)[..., None]


def local_sorted_order(count: shapes.Size, length: shapes.Size, valid: tf.Tensor | None) -> SortedOrder:
    """Sorts tokens by position, masked ones last.

    Args:
        count: N.
        length: L.
        valid: boolean `[N, L]`, False for masked tokens, or None.
    """
    if valid is None:
        return position_sorted_order(count, length, None)
    present = tf.cast(valid, tf.int32)
    ranks = tf.where(
        valid,
        tf.cumsum(present, axis=-1) - 1,
        tf.reduce_sum(present, axis=-1, keepdims=True) + tf.cumsum(1 - present, axis=-1) - 1,
    )
    return SortedOrder(invert(ranks), ranks, _hide_masked(ranks, valid))


def position_sorted_order(count: shapes.Size, length: shapes.Size, valid: tf.Tensor | None) -> SortedOrder:
    """Sorts tokens by position, masked ones included.

    Args:
        count: N.
        length: L.
        valid: boolean `[N, L]`, False for masked tokens, or None.
    """
    positions = tf.broadcast_to(index_ranges.below(length), tf.stack([count, length]))
    return SortedOrder(positions, positions, _hide_masked(positions, valid))


def invert(permutations: tf.Tensor) -> tf.Tensor:
    """Inverts each row of int32 `[N, L]`."""
    count, length = shapes.sizes(permutations)
    if budgets.device_kind() == "TPU":  # It scatters one number after another, and sorts well.
        return _by_bucket(permutations, length)  # One token a bucket.
    starts = tf.range(count)[:, None] * length
    flat = tf.reshape(permutations + starts, [-1, 1])
    positions = tf.reshape(tf.broadcast_to(index_ranges.below(length), tf.shape(permutations)), [-1])
    # Not tf.math.invert_permutation: compiled by XLA it fails where the buckets depend on a seed known at run time.
    return tf.reshape(tf.scatter_nd(flat, positions, tf.shape(positions)), tf.shape(permutations))


def near(
    query_sort_keys: tf.Tensor,
    key_sort_keys: tf.Tensor,
    chunk_length: int,
    first: int,
    masked: bool = True,
    narrow: bool = False,
) -> list[tf.Tensor]:
    """Tells which pairs of queries and keys meet in the windows of some rounds.

    Args:
        query_sort_keys: int32 `[..., Q, T]` of T rounds.
        key_sort_keys: int32 `[..., W, T]`.
        chunk_length: C. A window reaches back to the rank C - 1 before the token's own.
        first: where it begins: 0 at the token itself, 1 at the rank before it, 1 - C at the rank C - 1 after it.
        masked: whether some sort keys may be `NOWHERE`.
        narrow: whether 16 bits are enough, see `fits_16_bits`.

    Returns:
        Boolean `[..., Q, W]` for each round.
    """
    if masked:
        # Differences wrap around: these two values are far from each other and from all sort keys, on either side.
        query_sort_keys = tf.where(query_sort_keys == NOWHERE, -3 * chunk_length, query_sort_keys)
        key_sort_keys = tf.where(key_sort_keys == NOWHERE, -2 * chunk_length, key_sort_keys)
    # As unsigned numbers differences below zero are large: one comparison checks both ends.
    query_sort_keys, key_sort_keys = (
        tf.cast(sort_keys, tf.uint16) if narrow else tf.bitcast(sort_keys, tf.uint32)
        for sort_keys in (query_sort_keys - first, key_sort_keys)
    )
    window = tf.constant(chunk_length - first, query_sort_keys.dtype)
    return [
        query - key < window for query, key in zip(_apart(query_sort_keys, -2), _apart(key_sort_keys, -3), strict=True)
    ]


def fits_16_bits(length: shapes.Size, num_buckets: int, chunk_length: int) -> bool:
    """Whether 16 bits of the sort keys are enough for `near`, including the distant ones of masked tokens.

    Args:
        length: L; if it is a tensor, the answer is False.
        num_buckets: as in `hash_sorted_order`; 1 for rounds without buckets.
        chunk_length: C.
    """
    return shapes.known([length]) and length + chunk_length * (num_buckets + 6) < 2**16


def _apart(sort_keys: tf.Tensor, axis: int) -> list[tf.Tensor]:
    """Splits along the last axis, and adds a new axis to each part."""
    sort_keys = tf.expand_dims(sort_keys, axis)
    # Not tf.unstack of a single part, which would be a useless operation.
    return [tf.squeeze(sort_keys, -1)] if sort_keys.shape[-1] == 1 else tf.unstack(sort_keys, axis=-1)


def allowed_by_position(query: tf.Tensor, key: tf.Tensor, causal: bool, exclude_self: bool) -> tf.Tensor:
    """Tells which queries may meet which keys by their positions, `NOWHERE` for masked tokens.

    Args:
        query: int32 `[..., Q]`.
        key: int32 `[..., W]`.
        causal: whether a token sees no later token.
        exclude_self: whether a token sees itself only when it sees nothing else.

    Returns:
        Boolean `[..., Q, W]`.
    """
    query, key = tf.expand_dims(query, -1), tf.expand_dims(key, -2)
    seen = key != NOWHERE
    if not causal:
        seen = tf.logical_and(query != NOWHERE, seen)
        return tf.logical_and(seen, query != key) if exclude_self else seen
    # The position of a masked query is below all others, so it sees none.
    return tf.logical_and(seen, query > key if exclude_self else query >= key)


def _hide_masked(sort_keys: tf.Tensor, valid: tf.Tensor | None) -> tf.Tensor:
    return sort_keys if valid is None else tf.where(valid, sort_keys, NOWHERE)


def check_range(length: shapes.Size, num_buckets: int, chunk_length: int) -> None:
    """Refuses sizes whose sort keys would not fit in an int32.

    Raises:
        ValueError: if `length + chunk_length * num_buckets` reaches 2**29.
    """
    reach = chunk_length * (num_buckets + 1) + (shapes.static(length) or 0)
    if reach >= _LARGEST:
        raise ValueError(
            "num_buckets * chunk_length + length must stay below 2**29."
            f" Received: num_buckets={num_buckets}, chunk_length={chunk_length}, length={length}"
        )
