"""Hashing against the paper's formula, and where rotations come from."""

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.ops import bucket_counts, hashing
from reformer_tf.ops.execution import budgets, compiled_functions
from tests.testing import attention_reference as reference


@pytest.mark.parametrize("factors", [(2,), (8,), (4, 6), (2, 4, 8)])
@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
def test_buckets_are_those_of_the_formula(factors, mode):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(2, 3, 50, 8)).astype("float32")
    rotations = hashing.stored_rotations(1, 3, 8, 4, bucket_counts.rotation_columns(factors))
    call = lambda x: hashing.hash_vectors(x, tf.constant(rotations), factors)
    if mode != "eager":
        call = tf.function(call, jit_compile=mode == "xla")
    buckets = call(tf.constant(vectors)).numpy()
    expected = reference.hash_buckets(vectors.astype(np.float64), rotations.astype(np.float64), factors)
    np.testing.assert_array_equal(buckets, expected)
    assert buckets.max() < np.prod(factors)


def test_one_head_on_many_rows():
    """TensorFlow 2.21 crashes now and then where its CPU kernel broadcasts one matrix over many rows."""
    vectors = np.random.default_rng(0).normal(size=(3, 1, 209, 6)).astype("float32")
    rotations = hashing.stored_rotations(1, 1, 6, 2, 2)
    expected = np.concatenate([hashing.hash_vectors(vectors[[row]], rotations, (4,)) for row in range(3)])
    for _ in range(30):
        np.testing.assert_array_equal(hashing.hash_vectors(vectors, rotations, (4,)), expected)


def test_a_zero_vector_has_a_bucket():
    rotations = tf.constant(hashing.stored_rotations(0, 1, 4, 2, 4))
    assert hashing.hash_vectors(tf.zeros([1, 1, 3, 4]), rotations, (8,)).numpy().tolist() == [[[[0] * 3] * 2]]


def test_more_rounds_begin_with_the_same_rotations():
    few, many = (hashing.stored_rotations(7, 2, 4, rounds, 5) for rounds in (4, 8))
    np.testing.assert_array_equal(few, many[:, :, :4])
    assert few.std() == pytest.approx(1.0, abs=0.15)


def test_stored_rotations_are_the_same_bits_everywhere():
    # From numpy's frozen stream: np.random.RandomState(0).normal(size=4).
    np.testing.assert_array_equal(
        hashing.stored_rotations(0, 1, 2, 1, 2).ravel(),
        np.array([1.764052345967664, 0.4001572083672233, 0.9787379841057392, 2.240893199201458], "float32"),
    )


def test_drawn_rotations_are_normal_and_depend_on_base_step_and_layer_only():
    draw = lambda seed, layer: hashing.drawn_rotations(tf.constant(seed), layer, 4, 16, 4, 32).numpy()
    first = draw([1, 2], 3)
    assert abs(first.mean()) < 0.03 and abs(first.std() - 1) < 0.03
    assert abs(np.corrcoef(first[0].ravel(), first[1].ravel())[0, 1]) < 0.06
    np.testing.assert_array_equal(first, draw([1, 2, 9], 3))  # the row offset does not matter
    for other in (draw([2, 2], 3), draw([1, 3], 3), draw([1, 2], 4)):
        assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.06


def test_drawn_rotations_agree_between_eager_graph_and_xla_for_seeds_known_at_run_time():
    draw = lambda seed: hashing.drawn_rotations(seed, 5, 2, 8, 1, 4)
    seed = tf.constant([3, 4])
    for jit_compile in (False, True):
        np.testing.assert_allclose(tf.function(draw, jit_compile=jit_compile)(seed), draw(seed), atol=1e-5)


@pytest.mark.parametrize("length, chunk, factors", [(64, 64, (2,)), (4096, 64, (128,)), (16384, 64, (16, 32))])
def test_the_default_rule(length, chunk, factors):
    assert bucket_counts.default_num_buckets(length, chunk) == factors
    assert bucket_counts.default_num_buckets(1, 64) == (2,)


@pytest.mark.parametrize("num_buckets", [0, -2, 3, 1, True, 2.0, "4", [], [4, 3], [4, 0], (2, None)])
def test_odd_or_senseless_bucket_counts_are_refused(num_buckets):
    with pytest.raises(ValueError, match="num_buckets must be a positive even integer.*Received: num_buckets="):
        bucket_counts.bucket_factors(num_buckets)


@pytest.mark.parametrize("mode", ["eager", "graph", "dynamic", "xla"])
@pytest.mark.parametrize("length", [1, 7, 50, 56, 57])
def test_slices_of_a_long_sequence_give_the_same_buckets(mode, length):
    vectors = tf.constant(np.random.default_rng(0).normal(size=(2, 3, length, 8)), tf.bfloat16)
    rotations = tf.constant(hashing.stored_rotations(1, 3, 8, 4, 5))
    call = lambda x: hashing.hash_vectors(x, rotations, (4, 6))
    expected = call(vectors)
    signature = [tf.TensorSpec([None, 3, None, 8], tf.bfloat16)] if mode == "dynamic" else None
    if mode != "eager":
        call = tf.function(call, input_signature=signature, jit_compile=mode == "xla")
    with budgets.override(projection_bytes=7 * 4 * 2 * 3 * 5):
        actual = call(vectors)
    assert actual.shape == expected.shape
    np.testing.assert_array_equal(actual, expected)


@budgets.override(least_compiled_work=1)
def test_compiled_hashing_gives_the_same_buckets():
    vectors = tf.constant(np.random.default_rng(0).normal(size=(2, 3, 50, 8)), tf.float32)
    rotations = tf.constant(hashing.stored_rotations(1, 3, 8, 4, 5))

    def call(allowed):
        with compiled_functions.compiling_functions(allowed):
            return hashing.hash_vectors(vectors, rotations, (4, 6))

    compiled = tf.function(call).get_concrete_function(True)
    assert "_XlaMustCompile" in str(compiled.graph.as_graph_def())
    np.testing.assert_array_equal(compiled(), tf.function(call)(False))
