"""Sums over tokens in half precision, beside the same numbers summed in float64."""

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.ops import sums
from reformer_tf.ops.execution import row_chunks

# All terms have one sign and about one size: a sum in bfloat16 would stop at some 256 of them, one in float16 at 2,048.
TOKENS, WIDTH, ROWS = 16_384, 4, 3
HALF = [tf.bfloat16, tf.float16]


def _terms(dtype, shape=(TOKENS, WIDTH)):
    return tf.cast(np.random.default_rng(0).uniform(0.5, 1.5, size=shape), dtype)


def _exact(x, axis=0):
    return np.sum(np.asarray(tf.cast(x, tf.float64)), axis=axis)


def _run(function, *args, mode):
    if mode == "eager":
        return function(*args)
    return tf.function(function, jit_compile=mode == "xla", autograph=False)(*args)


def _gradient(function, weight, upstream):
    with tf.GradientTape() as tape:
        tape.watch(weight)
        result = function(weight)
    assert result.dtype == upstream.dtype
    return tf.convert_to_tensor(tape.gradient(result, weight, output_gradients=upstream))


@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
@pytest.mark.parametrize("dtype", HALF, ids=lambda x: x.name)
def test_the_gradient_of_a_bias(dtype, mode):
    upstream = _terms(dtype)

    def gradient(bias, upstream):
        return _gradient(lambda b: sums.bias_add(tf.zeros_like(upstream), b), bias, upstream)

    found = _run(gradient, tf.zeros([WIDTH]), upstream, mode=mode)
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found, _exact(upstream), rtol=1e-5)
    rounded = _run(gradient, tf.zeros([WIDTH], dtype), upstream, mode=mode)
    assert rounded.dtype == dtype
    np.testing.assert_allclose(tf.cast(rounded, tf.float64), _exact(upstream), rtol=0.004)


@pytest.mark.parametrize("dtype", [*HALF, tf.float32, tf.float64], ids=lambda x: x.name)
def test_a_bias_of_two_axes(dtype):
    x, bias = _terms(dtype, (2, 5, 3, 4)), tf.constant(np.arange(12.0).reshape(3, 4), tf.float32)
    result = sums.bias_add(x, bias)
    np.testing.assert_array_equal(result, x + tf.cast(bias, dtype))
    found = _gradient(lambda b: sums.bias_add(x, b), bias, x)
    np.testing.assert_allclose(found, _exact(x, (0, 1)), rtol=1e-5)


@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
@pytest.mark.parametrize("dtype", HALF, ids=lambda x: x.name)
def test_the_gradient_of_a_look_up(dtype, mode):
    ids, upstream = tf.constant(np.arange(TOKENS) % 8 // 6, tf.int32), _terms(dtype)

    def gradient(table, upstream):
        return _gradient(lambda t: tf.cast(sums.look_up(t, ids), dtype), table, upstream)

    expected = [_exact(upstream[ids == row]) for row in range(ROWS)]
    np.testing.assert_allclose(_run(gradient, tf.zeros([ROWS, WIDTH]), upstream, mode=mode), expected, rtol=1e-5)
    rounded = _run(gradient, tf.zeros([ROWS, WIDTH], dtype), upstream, mode=mode)
    np.testing.assert_allclose(tf.cast(rounded, tf.float64), expected, rtol=0.004)


@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("dtype", HALF, ids=lambda x: x.name)
def test_the_gradient_of_a_kernel(dtype, transpose, mode):
    x, upstream = _terms(dtype), 0.5 * _terms(dtype, (TOKENS, ROWS))

    def gradient(kernel, upstream):
        return _gradient(lambda k: sums.matmul(x, k, transpose_b=transpose), kernel, upstream)

    kernel = tf.zeros([ROWS, WIDTH] if transpose else [WIDTH, ROWS])
    found = _run(gradient, kernel, upstream, mode=mode)
    expected = np.asarray(tf.cast(x, tf.float64)).T @ np.asarray(tf.cast(upstream, tf.float64))
    # Kernels for CPUs without half precision truncate instead of rounding.
    np.testing.assert_allclose(found, expected.T if transpose else expected, rtol=0.01)


@pytest.mark.parametrize("dtype", HALF, ids=lambda x: x.name)
@pytest.mark.parametrize("rows", [64, TOKENS])
def test_weights_of_rows_in_chunks(rows, dtype):
    x, upstream, weight = _terms(dtype), _terms(dtype), tf.ones([WIDTH], dtype)
    spec = tf.TensorSpec([None, WIDTH], dtype)

    def chunked(weight):
        return row_chunks.map_rows(lambda x, w: sums.bias_add(x, w), [x], [weight], rows, spec)

    found = tf.function(lambda: _gradient(chunked, weight, upstream))()
    np.testing.assert_allclose(tf.cast(found, tf.float64), _exact(upstream), rtol=0.004)


@pytest.mark.parametrize("dtype", HALF, ids=lambda x: x.name)
def test_several_tensors_are_rounded_once(dtype):
    # Added one after another, the sum would stay at the first term.
    tensors = [tf.constant([4096.0], dtype), *[tf.constant([1.0], dtype)] * 64]
    np.testing.assert_array_equal(tf.cast(sums.summed(tensors), tf.float32), [4160.0])
    assert sums.summed(tensors).dtype == dtype
    np.testing.assert_array_equal(sums.summed(tensors[:2]), tensors[0] + tensors[1])
