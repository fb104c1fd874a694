"""Gradients of `window="chunk"` against automatic differentiation of a dense computation."""

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.ops.execution import budgets
from tests.conformance import cases
from tests.layers.attention import chunk_window_cases as settings
from tests.testing import dense_attention


def _gradients_match(kind, layer, length, mode, bound, dtype="float32"):
    """Compares gradients of inputs and weights with automatic differentiation of the dense computation."""
    x, mask = cases.inputs(2, length, dtype=dtype), cases.masks(2, length)
    upstream = cases.inputs(2, length, seed=6, dtype=dtype)
    buckets = cases.call_and_buckets(layer, x, mask=mask)[1]

    def gradients():
        inputs = tf.constant(x)
        with tf.GradientTape() as tape, cases.replaying(buckets):
            tape.watch(inputs)
            y = layer(inputs, mask=mask)
        return tape.gradient(y, [inputs, *layer.trainable_variables], output_gradients=tf.constant(upstream))

    actual = gradients() if mode == "eager" else tf.function(gradients, jit_compile=mode == "xla")()
    seen = cases.VISIBLE[kind](layer, buckets, mask, None)
    factors = cases.factors(layer, buckets, mask)
    weights = [tf.constant(np.asarray(weight, np.float64)) for weight in layer.trainable_variables]
    x64 = tf.constant(np.where(mask[..., None], x, 0.0).astype(np.float64))
    with tf.GradientTape() as tape:
        tape.watch([x64, *weights])
        y = dense_attention.dense_attention(
            x64, weights, seen, layer.shared_query_key, layer.use_bias, layer.rotary, factors
        )
    expected = tape.gradient(y, [x64, *weights], output_gradients=upstream.astype(np.float64))
    largest = max(np.max(np.abs(one)) for one in expected)
    for name, one, other in zip(["x", *[w.name for w in layer.trainable_variables]], actual, expected, strict=True):
        assert one is not None, name
        assert np.max(np.abs(one.numpy() - other.numpy())) <= bound * largest, name


@settings.each(settings.SETTINGS)
@pytest.mark.parametrize("causal", [False, True])
def test_gradients_equal_dense_autodiff(kind, name, causal):
    layer = settings.make_layer(kind, name, causal)
    for length in (11, 37):
        _gradients_match(kind, layer, length, "eager", 1e-5)


@settings.each(settings.SOME)
def test_gradients_in_float64_are_exact(kind, name):
    _gradients_match(kind, settings.make_layer(kind, name, dtype="float64"), 37, "eager", 1e-10, "float64")


@settings.each(settings.SOME)
@pytest.mark.parametrize("mode", [pytest.param("graph", marks=pytest.mark.slow), "xla"])
def test_gradients_in_graph_and_xla_equal_dense_autodiff(kind, name, mode):
    _gradients_match(kind, settings.make_layer(kind, name), 37, mode, 1e-5)


# In a graph, one setting of each kind in CI.
@pytest.mark.parametrize(
    ("kind", "name", "mode"),
    [
        pytest.param(*setting, mode, marks=[] if fast else pytest.mark.slow)
        for setting in [*settings.SOME, ("lsh", "beyond"), ("local", "beyond")]
        for mode, fast in (("eager", True), ("graph", setting[1] in ("beyond_the_ring", "both_sides")), ("xla", False))
    ],
)
def test_groups_of_blocks_change_nothing(kind, name, mode):
    """Long sequences are computed some blocks at a time, and windows reach over the ends of such groups."""
    # With the second size, the last group is not full.
    for bytes_a_group in (1, 2400, 2**13) if mode == "eager" else (2**13,):
        with budgets.override(ungrouped_bytes=0, group_bytes=bytes_a_group):
            _gradients_match(kind, settings.make_layer(kind, name, causal=False), 37, mode, 1e-5)
