"""Ranks and nearness against their definitions."""

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.ops.attention import ordering
from reformer_tf.ops.execution import budgets

CHUNK = 8


@pytest.mark.parametrize("narrow", [True, False])
@pytest.mark.parametrize("first", [0, 1, 1 - CHUNK])
def test_near_is_a_difference_within_the_window(narrow, first):
    """Also tests the largest sort keys that 16 bits allow, whose differences from masked tokens wrap around."""
    num_buckets = 2**13 - 1 - 6 - 2
    largest = 15 + CHUNK * num_buckets
    assert ordering.fits_16_bits(15, num_buckets, CHUNK)
    assert not ordering.fits_16_bits(16, num_buckets + 1, CHUNK)
    assert not ordering.fits_16_bits(tf.constant(1), 2, CHUNK)
    ends = [*range(2 * CHUNK), *range(largest - 2 * CHUNK, largest + 1), 2**15 - 1, 2**15, 2**15 + 3]
    sort_keys = np.array([ordering.NOWHERE, *ends], "int32")
    query, key = sort_keys[:, None].astype(int), sort_keys[None].astype(int)
    within = (first <= query - key) & (query - key < CHUNK)
    expected = within & (query != ordering.NOWHERE) & (key != ordering.NOWHERE)
    (actual,) = ordering.near(sort_keys[:, None], sort_keys[:, None], CHUNK, first, masked=True, narrow=narrow)
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("num_buckets", [3, 2**23])
@pytest.mark.parametrize("length", [1, 7, 8, 29])
@pytest.mark.parametrize("jit_compile", [True, False])
def test_sort_keys_of_hash_rounds_are_those_of_their_sorted_orders(num_buckets, length, jit_compile):
    """Tests few buckets, and so many that bucket * length + position is no longer exact in float32."""
    rng = np.random.default_rng(length)
    buckets = tf.constant(num_buckets - 1 - rng.integers(0, 3, (4, 2, length)), tf.int32)
    valid = tf.constant(rng.random((4, length)) < 0.7)
    call = tf.function(lambda *args: ordering.hash_sort_keys(*args, num_buckets, CHUNK), jit_compile=jit_compile)
    expected = [ordering.hash_sorted_order(buckets[:, r], valid, num_buckets, CHUNK).sort_keys for r in range(2)]
    np.testing.assert_array_equal(call(buckets, valid), np.stack(expected, axis=-1))


@pytest.mark.parametrize("kind", ["GPU", "TPU"])
@pytest.mark.parametrize("num_buckets", [6, 2**27])
@pytest.mark.parametrize("jit_compile", [None, True, False])
def test_one_sort_for_all_rounds_on_accelerators(kind, num_buckets, jit_compile):
    """Tests buckets that fit one integer with the position, and so many that they do not."""
    rng = np.random.default_rng(0)
    buckets = tf.constant(num_buckets - 1 - rng.integers(0, 5, (4, 3, 29)), tf.int32)
    for valid in (None, tf.constant(rng.random((4, 29)) < 0.7)):
        call = lambda: ordering.hash_sorted_orders(buckets, valid, num_buckets, CHUNK)  # noqa: B023
        expected = call()
        with budgets.target(kind):
            found = call() if jit_compile is None else tf.function(call, jit_compile=jit_compile)()
        for a, b in zip(found, expected, strict=True):
            for x, y in zip(a, b, strict=True):
                np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("kind", ["CPU", "GPU", "TPU"])
@pytest.mark.parametrize("length", [1, 29, 2**15, 2**15 + 1])
def test_inverse_permutations(kind, length):
    """Tests lengths whose ranks and positions fit one integer together, and one whose do not."""
    permutations = np.random.default_rng(0).permuted(np.tile(np.arange(length, dtype="int32"), [2, 1]), axis=1)
    with budgets.target(kind):
        found = ordering.invert(tf.constant(permutations))
    assert found.dtype == tf.int32
    np.testing.assert_array_equal(found, np.argsort(permutations, axis=-1))
