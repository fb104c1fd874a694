"""Layers with bucket windows give the same results with and without dense attention."""

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.layers.attention.registry import ATTENTION_LAYERS
from reformer_tf.layers.attention.windowed import WindowedSelfAttention
from reformer_tf.ops.attention import all_pairs
from tests.conformance import cases, comparing

WINDOWED = [kind for kind, cls in ATTENTION_LAYERS.items() if issubclass(cls, WindowedSelfAttention)]
CASES = [case for case in cases.ALL if case.kind in WINDOWED and not case.has_chunks]
LENGTH = 65


def _training_call(layer, dense):
    """Output and gradients of a call with mask, segments and dropout."""
    x, mask = cases.inputs(2, LENGTH), cases.masks(2, LENGTH)
    segments = np.sort(np.random.default_rng(4).integers(0, 3, mask.shape), axis=1).astype("int32")
    with all_pairs.always(dense), tf.GradientTape() as tape:
        x = tf.constant(x)
        tape.watch(x)
        y = layer(x, mask=mask, segment_ids=segments, seed=tf.constant([3, 5]), training=True)
        loss = tf.reduce_sum(tf.sin(y))
    return [y, *tape.gradient(loss, [x, *(weight.value for weight in layer.trainable_weights)])]


@cases.each(CASES)
def test_training_with_dropout_masks_and_segments(case):
    layer = cases.make_layer(case, dropout=0.3)
    for actual, expected in zip(_training_call(layer, True), _training_call(layer, False), strict=True):
        comparing.assert_same(actual.numpy(), expected.numpy())


@pytest.mark.parametrize(
    ("case", "jit_compile"),
    [(case, jit) for case in CASES if case.setting == "default" for jit in ([False, True] if case.causal else [False])],
)
def test_lengths_that_a_graph_does_not_know(case, jit_compile):
    layer = cases.make_layer(case)
    call = tf.function(layer, jit_compile=jit_compile, input_signature=[tf.TensorSpec([2, None, cases.WIDTH])])
    for length in (LENGTH, 300):  # The second is too long for dense attention.
        x = tf.constant(cases.inputs(2, length))
        comparing.assert_same(call(x).numpy(), layer(x).numpy())
