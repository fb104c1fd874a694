"""Activations with a bias: compiled and plain functions give the same, and only functions that may be compiled are."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.ops import bias_activation
from reformer_tf.ops.execution import budgets, compiled_functions

SHAPE = (3, 50, 16)


def _run(fn, dtype, allowed, with_bias=True, dynamic=False):
    rng = np.random.default_rng(0)
    # Numbers that all dtypes have.
    x, upstream = (tf.cast(tf.cast(rng.normal(size=SHAPE), tf.bfloat16), dtype) for _ in range(2))
    bias = tf.cast(tf.cast(rng.normal(size=SHAPE[-1:]), tf.bfloat16), dtype)
    sources = [x, bias] if with_bias else [x]

    def call(upstream, *sources):
        with compiled_functions.compiling_functions(allowed), tf.GradientTape() as tape:
            tape.watch(sources)
            result = bias_activation.biased(fn, *sources)
        return [result, *tape.gradient(result, sources, output_gradients=upstream)]

    specs = [tf.TensorSpec([3, None if dynamic else 50, 16], dtype)] * 2 + [tf.TensorSpec([16], dtype)] * with_bias
    function = tf.function(call, input_signature=specs).get_concrete_function()
    return function(upstream, *sources), "_XlaMustCompile" in str(function.graph.as_graph_def())


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("dtype,tolerance", [(tf.float32, 1e-5), (tf.bfloat16, 0.005), (tf.float64, 1e-12)])
def test_compiled_and_plain_are_the_same(dtype, tolerance, with_bias, dynamic):
    # In half precision only inputs and results are rounded, so that it is close to float32.
    exact = tf.float32 if dtype == tf.bfloat16 else dtype
    expected, was_compiled = _run(keras.activations.gelu, exact, False, with_bias, dynamic)
    assert not was_compiled
    with budgets.override(least_compiled_work=1):
        actual, was_compiled = _run(keras.activations.gelu, dtype, True, with_bias, dynamic)
    assert was_compiled
    for a, b in zip(actual, expected, strict=True):
        assert a.dtype == dtype
        np.testing.assert_allclose(tf.cast(a, exact), b, atol=tolerance * np.abs(b).max())


def test_small_work_is_not_compiled():
    assert not _run(keras.activations.gelu, tf.float32, True)[1]


@budgets.override(least_compiled_work=1)
def test_a_function_that_holds_tensors_is_called_as_it_is():
    factor = tf.Variable(0.5)
    results, was_compiled = _run(lambda x: tf.where(x > 0, x, factor * x), tf.float32, True)
    assert not was_compiled
    assert all(x is not None for x in results)
