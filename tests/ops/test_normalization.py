"""Layer normalisation against numpy and against Keras' gradient, plain and compiled."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.layers import ChunkedLayerNormalization
from reformer_tf.ops import normalization
from reformer_tf.ops.execution import budgets, compiled_functions

SHAPE, EPSILON = (5, 8), 1e-3


def _data():
    rng = np.random.default_rng(0)
    return [tf.constant(rng.normal(size=shape), tf.float32) for shape in (SHAPE, SHAPE[1:], SHAPE[1:], SHAPE)]


def _gradients(function, x, gamma, beta, upstream):
    with tf.GradientTape() as tape:
        tape.watch([x, gamma, beta])
        result = function(x, gamma, beta)
    return [result, *tape.gradient(result, [x, gamma, beta], output_gradients=tf.cast(upstream, result.dtype))]


def _own(dtype, allowed=False):
    def call(x, gamma, beta):
        with compiled_functions.compiling_functions(allowed):
            return normalization.normalized(x, gamma, beta, EPSILON, dtype)

    return call


def _keras(x, gamma, beta):
    return keras.ops.layer_normalization(x, gamma, beta, epsilon=EPSILON)


def test_equals_the_formula():
    x, gamma, beta, _ = (a.numpy().astype(np.float64) for a in _data())
    wanted = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + EPSILON) * gamma + beta
    np.testing.assert_allclose(_own(tf.float32)(*_data()[:3]), wanted, atol=1e-6)


@pytest.mark.parametrize("mode", ["eager", "graph", "compiled parts", "xla"])
@pytest.mark.parametrize("dtype, tolerance", [(tf.float32, 1e-5), (tf.bfloat16, 0.02)])
@budgets.override(least_compiled_work=1)
def test_gradient_equals_that_of_keras(mode, dtype, tolerance):
    call = lambda *args: _gradients(_own(dtype, mode == "compiled parts"), *args)
    if mode != "eager":
        call = tf.function(call, jit_compile=mode == "xla")
    for actual, wanted in zip(call(*_data()), _gradients(_keras, *_data()), strict=True):
        np.testing.assert_allclose(tf.cast(actual, tf.float32), wanted, atol=tolerance * np.abs(wanted).max())


@pytest.mark.parametrize("shape", [(2, 9, 8), (11, 8), (2, 3, 4, 8)])
@budgets.override(chunk_bytes=4 * 4 * 4 * 8)  # 4 rows of 4 tensors.
def test_layer_in_chunks_equals_that_of_keras(shape):
    x = tf.random.stateless_normal(shape, [1, 2])
    ours, theirs = ChunkedLayerNormalization(EPSILON), keras.layers.LayerNormalization(epsilon=EPSILON)
    for layer in (ours, theirs):
        layer.build(x.shape)
        layer.set_weights([np.arange(8.0), np.ones(8)])
    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-5)
    again = ChunkedLayerNormalization.from_config(ours.get_config())
    assert again.epsilon == EPSILON
