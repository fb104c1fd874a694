"""The number of buckets of a hash, as factors, and the number of projections these need."""

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from reformer_tf.ops import shapes

# With more buckets than this in one factor, projections cost more than attention.
_LARGEST_FACTOR = 128
# The length that a layer without a maximum length takes for the rule.
DEFAULT_LENGTH = 4096


def default_num_buckets(max_sequence_length: int | None, chunk_length: int) -> tuple[int, ...]:
    """The default bucket count of a layer, fixed when the layer is made.

    It is about `2 L / chunk_length` (so that a window holds two average buckets at the full length), rounded up to a
    power of two and split in two factors when it is large.

    Args:
        max_sequence_length: the longest sequence the layer will see, or None for a layer on its own.
        chunk_length: C.

    Returns:
        The even factors whose product is the bucket count.
    """
    wanted = 2 * (max_sequence_length or DEFAULT_LENGTH) / chunk_length
    bits = max(1, math.ceil(math.log2(max(wanted, 1.0))))
    if 2**bits <= _LARGEST_FACTOR:
        return (2**bits,)
    return (2 ** (bits // 2), 2 ** (bits - bits // 2))


def bucket_factors(num_buckets: int | Sequence[int]) -> tuple[int, ...]:
    """Checks a bucket count and returns it as a tuple of factors.

    Raises:
        ValueError: if `num_buckets`, or one of its factors, is not a positive even integer.
    """
    factors = tuple(num_buckets) if isinstance(num_buckets, list | tuple) else (num_buckets,)
    if not factors or any(
        isinstance(f, bool) or not isinstance(f, int | np.integer) or f < 2 or f % 2 for f in factors
    ):
        raise ValueError(
            "num_buckets must be a positive even integer or a list of such factors (a rotation and its negative give"
            f" two buckets). Received: num_buckets={num_buckets}"
        )
    return tuple(int(f) for f in factors)


def length_num_buckets(
    length: shapes.Size, chunk_length: int, max_sequence_length: int
) -> tuple[shapes.Size, shapes.Size]:
    """The bucket count that follows the length, as in the authors' released code.

    It is the power of two at or below `2 L / chunk_length`, split in two factors when it is large.

    Args:
        length: L of a call, a multiple of `chunk_length`; an int or a scalar tensor.
        chunk_length: C.
        max_sequence_length: determines the count from which on there are two factors.

    Returns:
        Two factors, the second of which may be 1; ints if `length` is.
    """
    largest = 2 * max(math.isqrt(max_sequence_length // chunk_length), chunk_length)
    wanted = 2 * (length // chunk_length)
    if isinstance(wanted, int):
        bits = wanted.bit_length() - 1
        return (2**bits, 1) if 2**bits <= largest else (2 ** (bits // 2), 2 ** (bits - bits // 2))
    bits = tf.reduce_sum(tf.cast(wanted >= 2 ** tf.range(1, 31), tf.int32))
    one_factor = 2**bits <= largest
    return tf.where(one_factor, 2**bits, 2 ** (bits // 2)), tf.where(one_factor, 1, 2 ** (bits - bits // 2))


def most_columns(chunk_length: int, longest: int, max_sequence_length: int) -> int:
    """The most projections that a round needs if the bucket count follows a length of up to `longest`."""
    lengths = [chunk_length * 2**i for i in range((longest // chunk_length).bit_length())]
    counts = [length_num_buckets(length, chunk_length, max_sequence_length) for length in lengths]
    return max(rotation_columns([factor for factor in count if factor > 1]) for count in counts)


def rotation_columns(factors: Sequence[int]) -> int:
    """The number of projections a round needs: half the sum of the factors."""
    return sum(factors) // 2
