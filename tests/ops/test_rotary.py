"""Rotations by position, against complex numbers in float64."""

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.ops import rotary


def _rotated(x, start):
    """The same in numpy: channel i and i + D / 2 are the real and the imaginary part of a number."""
    half = x.shape[-1] // 2
    frequencies = 10_000.0 ** (-np.arange(half) / half)
    angles = (start + np.arange(x.shape[1]))[:, None, None] * frequencies
    turned = (x[..., :half] + 1j * x[..., half:]) * np.exp(1j * angles)
    return np.concatenate([turned.real, turned.imag], axis=-1)


@pytest.mark.parametrize("start", [0, 1000, 2**20 - 50, 2**24])
@pytest.mark.parametrize(("dtype", "bound"), [("float32", 2e-6), ("float64", 1e-7)])
def test_angles_are_exact_far_out(start, dtype, bound):
    x = np.random.default_rng(0).uniform(-1.0, 1.0, (2, 50, 3, 16)).astype(dtype)
    # The rounding error of a frequency is multiplied by the position, and shows beyond a million.
    bound *= 1 if dtype == "float64" else max(1, start // 2**20)
    np.testing.assert_allclose(rotary.rotate(tf.constant(x), start), _rotated(x.astype("float64"), start), atol=bound)


def test_a_start_that_is_not_known_and_xla():
    x = tf.random.stateless_uniform([1, 9, 2, 8], [1, 2])
    for jit_compile in (False, True):
        rotate = tf.function(rotary.rotate, jit_compile=jit_compile)
        np.testing.assert_allclose(rotate(x, tf.constant(77)), rotary.rotate(x, 77), atol=1e-6)


def test_nothing_is_float64_where_the_vectors_are_not():
    traced = tf.function(rotary.rotate).get_concrete_function(tf.TensorSpec([2, 9, 2, 8], tf.bfloat16))
    assert not any(output.dtype == tf.float64 for op in traced.graph.get_operations() for output in op.outputs)
