"""Outputs of `window="chunk"`, the form of the authors' released code, against loops over rounds, chunks and pairs."""

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.layers import LSHSelfAttention
from reformer_tf.ops import replay
from tests.conformance import cases, comparing
from tests.layers.attention import chunk_window_cases as settings
from tests.testing import attention_reference

# Below, at and above a chunk and the exact lengths; multiples of nothing; the wrapping of one, two and many chunks.
LENGTHS = (1, 2, 3, 4, 5, 8, 9, 11, 12, 13, 24, 37)


@settings.each(settings.SETTINGS)
@pytest.mark.parametrize("causal", [False, True])
def test_output_equals_reference(kind, name, causal):
    layer = settings.make_layer(kind, name, causal)
    for length in LENGTHS:
        x = cases.inputs(2, length)
        y, buckets = cases.call_and_buckets(layer, x)
        comparing.assert_same(y, settings.expected(layer, x, buckets))


@settings.each(settings.SETTINGS)
@pytest.mark.parametrize("causal", [False, True])
def test_output_with_mask_and_segments_equals_reference(kind, name, causal):
    layer = settings.make_layer(kind, name, causal)
    for length in (5, 37):
        x, mask = cases.inputs(3, length), cases.masks(3, length)
        mask[2] = False
        x[~mask] = np.nan
        y, buckets = cases.call_and_buckets(layer, x, mask=mask)
        comparing.assert_same(y, settings.expected(layer, x, buckets, mask))
        empty = np.asarray(layer.trainable_variables[-1]) if layer.use_bias else np.zeros(cases.WIDTH)
        comparing.assert_same(y[~mask], np.broadcast_to(empty, y[~mask].shape))
        segments = np.sort(np.random.default_rng(4).integers(0, 3, mask.shape), axis=1).astype("int32")
        y, buckets = cases.call_and_buckets(layer, x, mask=mask, segment_ids=segments)
        comparing.assert_same(y, settings.expected(layer, x, buckets, mask, segments))


@settings.each([setting for setting in settings.SETTINGS if setting[0] == "lsh"])
def test_buckets_are_those_of_the_rule(kind, name):
    """The bucket count is the argument, or follows the length; projections are the first of the stored ones."""
    layer = settings.make_layer(kind, name)
    (rotations,) = [np.asarray(weight) for weight in layer.weights if weight.name == "rotations"]
    for length in (5, 13, 24, 37):
        x = cases.inputs(2, length)
        buckets = cases.call_and_buckets(layer, x)[1]
        if cases.chunk_window(layer).is_exact(length):
            continue
        factors = comparing.factors(layer, length)
        bias = np.asarray(layer.trainable_variables[1]) if layer.use_bias else 0.0
        q = attention_reference.project(x, np.asarray(layer.trainable_variables[0]), bias)
        q = attention_reference.rotate(q) if layer.rotary else q
        comparing.assert_same_buckets(layer, x, buckets, attention_reference.hash_buckets(q, rotations, factors))
        assert buckets.max() < np.prod(factors)


def test_the_stored_projections_are_enough_for_the_longest_length_and_no_more():
    def columns(**arguments):
        layer = LSHSelfAttention(1, 8, window="chunk", chunk_length=4, **arguments)
        layer.build([None, None, 8])
        return next(weight.shape[-1] for weight in layer.weights if weight.name == "rotations")

    assert columns(num_buckets=[4, 6]) == 5
    assert columns(max_sequence_length=4) == 1
    assert columns(max_sequence_length=19) == 4  # 20 / 4 = 5 chunks, 10 buckets, rounded down to 8.
    # 512 buckets are 16 * 32, but one factor of 2 * int(sqrt(256)) = 32 buckets is enough for some shorter length.
    assert columns(max_sequence_length=1024) == 24


def test_a_longer_sequence_than_the_bucket_rule_knows_is_refused():
    layer = settings.make_layer("lsh", "released", max_sequence_length=10)
    assert np.isfinite(layer(cases.inputs(1, 12))).all()  # Two tokens of padding, if they were not real ones.
    with pytest.raises(ValueError, match="at most 12 tokens long(.|\n)*Received: length=13"):
        layer(cases.inputs(1, 13))
    call = tf.function(layer, input_signature=[tf.TensorSpec([None, None, cases.WIDTH])])
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most 12 tokens long"):
        call(cases.inputs(1, 13))
    fixed = settings.make_layer("lsh", "plain", max_sequence_length=10)
    assert np.isfinite(fixed(cases.inputs(1, 13))).all()


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        pytest.param(*setting, marks=[] if setting in settings.SOME else pytest.mark.slow)
        for setting in settings.SETTINGS
    ],
)
def test_graph_of_unknown_shape_equals_reference(kind, name):
    """One trace for all lengths, short ones that get exact attention too."""
    layer = settings.make_layer(kind, name)

    @tf.function(input_signature=[tf.TensorSpec([None, None, cases.WIDTH]), tf.TensorSpec([None, None], tf.bool)])
    def call(x, mask):
        with replay.recording() as recorded:
            return layer(x, mask=mask), recorded

    for batch, length in ((1, 1), (2, 4), (2, 11), (3, 13), (2, 37)):
        x, mask = cases.inputs(batch, length), cases.masks(batch, length)
        y, recorded = call(x, mask)
        buckets = recorded[0].numpy() if recorded else None
        comparing.assert_same(y.numpy(), settings.expected(layer, x, buckets, mask))
        others = cases.call_and_buckets(layer, x, mask=mask)[1]
        if others is not None:  # None where a call of known length is exact and does not hash
            comparing.assert_same_buckets(layer, np.where(mask[..., None], x, 0.0), buckets, others, mask)
    assert call.experimental_get_tracing_count() == 1


@settings.each(settings.SOME)
@pytest.mark.parametrize("mode", [pytest.param("graph", marks=pytest.mark.slow), "xla"])
def test_graph_and_xla_equal_reference(kind, name, mode):
    layer, x, mask = settings.make_layer(kind, name), cases.inputs(2, 37), cases.masks(2, 37)
    buckets = cases.call_and_buckets(layer, x, mask=mask)[1]

    @tf.function(jit_compile=mode == "xla")
    def call(x, mask):
        with cases.replaying(buckets):
            return layer(x, mask=mask)

    comparing.assert_same(call(x, mask).numpy(), settings.expected(layer, x, buckets, mask))


@settings.each(settings.SETTINGS)
def test_bfloat16(kind, name):
    layer, low = settings.make_layer(kind, name), settings.make_layer(kind, name, dtype="mixed_bfloat16")
    low.set_weights(layer.get_weights())
    x, mask = cases.inputs(2, 37), cases.masks(2, 37)
    y, buckets = cases.call_and_buckets(layer, x, mask=mask)
    z = comparing.call(low, x, buckets, mask=mask)
    assert z.dtype == tf.bfloat16.as_numpy_dtype
    comparing.assert_same(z.astype(np.float32), y, bound=0.1)


@settings.each(settings.SOME)
def test_replayed_buckets_decide(kind, name):
    layer, x = settings.make_layer(kind, name), cases.inputs(2, 37)
    if kind == "local":
        with replay.recording() as recorded:
            layer(x)
        assert not recorded
        return
    ours = np.random.default_rng(9).integers(0, 4, [2, cases.HEADS, layer.num_hashes, 37]).astype("int32")
    y = comparing.call(layer, x, ours)
    comparing.assert_same(y, settings.expected(layer, x, ours))
    assert np.max(np.abs(y - layer(x))) > 0.01
