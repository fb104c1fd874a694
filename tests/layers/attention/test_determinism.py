"""Inference is deterministic; a seed determines all randomness of a training call."""

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.layers import LSHSelfAttention
from tests.conformance import cases, comparing


@cases.each(cases.ALL)
def test_inference_is_deterministic(case):
    layer, x = cases.make_layer(case, dropout=0.5), cases.inputs(2, 65)
    np.testing.assert_array_equal(layer(x), layer(x))
    np.testing.assert_array_equal(layer(x), layer(x, seed=tf.constant([3, 4])))


@cases.each(cases.DEFAULTS)
@pytest.mark.parametrize("jit_compile", [False, True])
def test_inference_in_graph_and_xla_equals_eager(case, jit_compile):
    layer, x = cases.make_layer(case), cases.inputs(2, 300)
    y, buckets = cases.call_and_buckets(layer, x)

    def call(x):
        with cases.replay.recording() as recorded:
            return layer(x), *recorded

    z, *others = tf.function(call, jit_compile=jit_compile)(x)
    comparing.assert_same_buckets(layer, x, buckets, *[other.numpy() for other in others] or [None])
    if others and not np.array_equal(buckets, others[0]):
        z = comparing.call(layer, x, others[0])
        y = comparing.call(layer, x, others[0])
    comparing.assert_same(np.asarray(z), y)


@cases.each(cases.DROPPING_DEFAULTS)
@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
def test_a_seed_decides_a_training_call(case, mode):
    layer, x = cases.make_layer(case, dropout=0.3), cases.inputs(2, 65)
    eager, buckets = cases.call_and_buckets(layer, x, training=True, seed=tf.constant([7, 1]))

    def call(x, seed):
        with cases.replaying(buckets):
            return layer(x, training=True, seed=seed)

    call = call if mode == "eager" else tf.function(call, jit_compile=mode == "xla")
    same, other = call(x, tf.constant([7, 1])), call(x, tf.constant([7, 2]))
    comparing.assert_same(np.asarray(same), eager)
    assert np.max(np.abs(other - same)) > 0.01


@cases.each(cases.DROPPING_DEFAULTS)
def test_training_without_a_seed_draws_anew(case):
    layer, x = cases.make_layer(case, dropout=0.3), cases.inputs(2, 65)
    assert np.max(np.abs(layer(x, training=True) - layer(x, training=True))) > 0.01


def test_training_draws_new_rotations_from_the_seed_only():
    layer, x = cases.make_layer(cases.Case("lsh", "default", True)), cases.inputs(2, 300)
    stored = LSHSelfAttention.from_config({**layer.get_config(), "redraw_rotations": False})
    stored.build(x.shape)
    stored.set_weights(layer.get_weights())
    inference = cases.call_and_buckets(layer, x)[1]
    first = cases.call_and_buckets(layer, x, training=True, seed=tf.constant([1, 1]))[1]
    again = cases.call_and_buckets(layer, x, training=True, seed=tf.constant([1, 1]))[1]
    second = cases.call_and_buckets(layer, x, training=True, seed=tf.constant([1, 2]))[1]
    shifted = cases.call_and_buckets(layer, x, training=True, seed=tf.constant([1, 1, 6]))[1]
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, shifted)
    for one, other in ((inference, first), (first, second)):
        assert np.mean(one != other) > 0.3
    np.testing.assert_array_equal(
        inference, cases.call_and_buckets(stored, x, training=True, seed=tf.constant([1, 1]))[1]
    )
