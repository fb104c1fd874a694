"""Outputs and gradients of every attention kind against the slow references."""

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.layers.attention.registry import ATTENTION_LAYERS
from tests.conformance import cases, comparing
from tests.testing import dense_attention, dense_features

# The defaults of each kind at all lengths, 4,097 further below; the other settings where chunks begin and end.
CASES_AND_LENGTHS = [
    (case, length)
    for case in cases.ALL
    for length in ((1, 2, 63, 64, 65, 203) if case in cases.DEFAULTS else (2, 63, 65))
]


def test_every_registered_kind_has_cases():
    assert set(cases.SETTINGS) == set(cases.VISIBLE) == set(ATTENTION_LAYERS)
    for kind, settings in cases.SETTINGS.items():
        assert "default" in settings
        able = ATTENTION_LAYERS[kind].capabilities
        layers = [cases.make_layer(case) for case in cases.ALL if case.kind == kind]
        assert any(layer.rotary for layer in layers) == able.rotary
        assert any(cases.is_shared(layer) for layer in layers) == able.shared_query_key


@pytest.mark.parametrize(
    ("case", "length"),
    [
        *(pytest.param(case, length, id=f"{case.name}-{length}") for case, length in CASES_AND_LENGTHS),
        *(pytest.param(case, 1000, marks=pytest.mark.slow, id=f"{case.name}-1000") for case in cases.DEFAULTS),
    ],
)
def test_output_equals_reference(case, length):
    layer, x = cases.make_layer(case), cases.inputs(2, length)
    y, buckets = cases.call_and_buckets(layer, x)
    comparing.assert_same(y, cases.expected(case, layer, x, buckets))


@pytest.mark.parametrize(
    ("case", "length"),
    [
        *((case, length) for case in cases.ALL for length in ((2, 65, 203) if case in cases.DEFAULTS else (2, 65))),
        *(pytest.param(case, 1000, marks=pytest.mark.slow) for case in cases.DEFAULTS),
    ],
)
def test_output_with_mask_and_segments_equals_reference(case, length):
    layer, x, mask = cases.make_layer(case), cases.inputs(2, length), cases.masks(2, length)
    y, buckets = cases.call_and_buckets(layer, x, mask=mask)
    comparing.assert_same(y, cases.expected(case, layer, x, buckets, mask))
    if not case.capabilities.segments:
        return
    for seen, in_order in ((mask, True), (None, False)):
        segments = cases.segments(2, length, in_order)
        y, buckets = cases.call_and_buckets(layer, x, mask=seen, segment_ids=segments)
        comparing.assert_same(y, cases.expected(case, layer, x, buckets, seen, cases.apart(case, segments)))


# In CI with a mask in one direction, and without one in both.
@pytest.mark.parametrize(
    ("case", "masked"),
    [
        pytest.param(case, masked, marks=[] if masked == case.causal else pytest.mark.slow)
        for case in cases.DEFAULTS
        for masked in (False, True)
    ],
)
def test_long_sequence_equals_reference(case, masked):
    layer, x = cases.make_layer(case, num_heads=1), cases.inputs(1, 4097)
    mask = np.random.default_rng(5).random([1, 4097]) < 0.9 if masked else None
    y, buckets = cases.call_and_buckets(layer, x, mask=mask)
    comparing.assert_same(y, cases.expected(case, layer, x, buckets, mask))


# Graphs of the others are in the tests of gradients, and of unknown shapes.
@pytest.mark.parametrize(
    ("case", "jit_compile"),
    [
        pytest.param(
            case,
            jit_compile,
            marks=[] if jit_compile and not case.causal else pytest.mark.slow,
            id=f"{case.name}-{'xla' if jit_compile else 'graph'}",
        )
        for case in cases.DEFAULTS
        for jit_compile in (False, True)
    ],
)
def test_graph_and_xla_equal_reference(case, jit_compile):
    layer, x, mask = cases.make_layer(case), cases.inputs(2, 65), cases.masks(2, 65)
    _, buckets = cases.call_and_buckets(layer, x, mask=mask)

    @tf.function(jit_compile=jit_compile)
    def call(x, mask):
        with cases.replaying(buckets):
            return layer(x, mask=mask)

    comparing.assert_same(call(x, mask).numpy(), cases.expected(case, layer, x, buckets, mask))


@cases.each(cases.ALL)
@pytest.mark.parametrize("length", [1, 65])
def test_float64_is_exact(case, length):
    layer, x, mask = cases.make_layer(case, dtype="float64"), cases.inputs(2, length, dtype="float64"), None
    for mask in (None, cases.masks(2, length)):
        y, buckets = cases.call_and_buckets(layer, x, mask=mask)
        assert y.dtype == np.float64
        comparing.assert_same(y, cases.expected(case, layer, x, buckets, mask), bound=1e-10)


def _gradients(function, layer, x, upstream):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    return y, tape.gradient(y, [x, *layer.trainable_variables], output_gradients=upstream)


@pytest.mark.parametrize(
    ("case", "dtype", "mode"),
    [
        *[
            pytest.param(case, dtype, "eager", id=f"{case.name}-{dtype}-eager")
            for case in cases.ALL
            for dtype in ("float32", "float64")
        ],
        # Graph and XLA: float32, and one setting of each kind; in CI XLA in one direction, a graph in both.
        *[
            pytest.param(
                case,
                "float32",
                mode,
                marks=[] if case.causal == (mode == "xla") else pytest.mark.slow,
                id=f"{case.name}-float32-{mode}",
            )
            for case in cases.DEFAULTS
            for mode in ("graph", "xla")
        ],
    ],
)
def test_gradients_equal_dense_autodiff(case, dtype, mode):
    """Compares gradients of inputs and weights, with a mask, relative to the largest gradient; and the output."""
    bound = {"float32": 1e-5, "float64": 1e-10}[dtype]
    layer, x, mask = cases.make_layer(case, dtype=dtype), cases.inputs(3, 65, dtype=dtype), cases.masks(3, 65)
    upstream = np.random.default_rng(6).normal(size=x.shape).astype(dtype)
    _, buckets = cases.call_and_buckets(layer, x, mask=mask)

    def call(x):
        with cases.replaying(buckets):
            return layer(x, mask=mask)

    def all_gradients():
        return _gradients(call, layer, x, upstream)

    run = all_gradients if mode == "eager" else tf.function(all_gradients, jit_compile=mode == "xla")
    output, actual = run()
    visible = cases.VISIBLE[case.kind](layer, buckets, mask, None)
    weights = [tf.constant(np.asarray(weight, np.float64)) for weight in layer.trainable_variables]
    x64 = tf.constant(np.where(mask[..., None], x, 0.0).astype(np.float64))
    with tf.GradientTape() as tape:
        tape.watch([x64, *weights])
        y = dense_attention.dense_attention(
            x64,
            weights,
            visible,
            cases.is_shared(layer),
            layer.use_bias,
            layer.rotary,
            cases.factors(layer, buckets, mask),
            cases.log_weights(case, layer, dense_features.log_weights),
        )
    expected = tape.gradient(y, [x64, *weights], output_gradients=upstream.astype(np.float64))
    comparing.assert_same(output.numpy(), y.numpy(), bound)
    largest = max(np.max(np.abs(one)) for one in expected)
    for name, one, other in zip(["x", *[w.name for w in layer.trainable_variables]], actual, expected, strict=True):
        assert np.max(np.abs(one.numpy() - other.numpy())) <= bound * largest, name


@cases.each(cases.DROPPING_DEFAULTS)
def test_gradients_with_dropout_equal_finite_differences(case):
    """Compares the derivative in a random direction of inputs and weights; the seed determines the dropped pairs."""
    layer, x = cases.make_layer(case, dropout=0.4, dtype="float64"), cases.inputs(2, 40, dtype="float64")
    upstream, rng = cases.inputs(2, 40, seed=8, dtype="float64"), np.random.default_rng(7)
    kwargs = {"mask": cases.masks(2, 40), "training": True, "seed": tf.constant([1, 2])}
    _, buckets = cases.call_and_buckets(layer, x, **kwargs)
    variables = [tf.Variable(x), *layer.trainable_variables]
    directions = [rng.normal(size=variable.shape) for variable in variables]

    def loss():
        with cases.replaying(buckets):
            return tf.reduce_sum(layer(tf.convert_to_tensor(variables[0]), **kwargs) * upstream)

    with tf.GradientTape() as tape:
        value = loss()
    gradients = tape.gradient(value, variables)
    assert (
        np.max(np.abs(value - tf.reduce_sum(comparing.call(layer, x, buckets, mask=kwargs["mask"]) * upstream))) > 0.1
    )

    def moved(step):
        for variable, direction in zip(variables, directions, strict=True):
            variable.assign_add(step * direction)
        return loss().numpy()

    step = 1e-5
    numerical = (moved(step) - moved(-2 * step)) / (2 * step)
    expected = sum(
        np.sum(gradient.numpy() * direction) for gradient, direction in zip(gradients, directions, strict=True)
    )
    np.testing.assert_allclose(numerical, expected, rtol=1e-6)
