"""Cross-attention against the reference: outputs, gradients, masks, decoding, and what is refused."""

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.layers import FullCrossAttention, PerformerCrossAttention
from reformer_tf.layers.attention.registry import ATTENTION_LAYERS, CROSS_ATTENTION_LAYERS
from reformer_tf.ops.execution import budgets
from tests.conformance import cases
from tests.testing import attention_reference, feature_reference, modes

WIDTH, CONTEXT_WIDTH, HEADS, SIZE = 10, 14, 2, 6
KINDS = {
    "full": lambda **options: FullCrossAttention(HEADS, SIZE, use_bias=True, seed=1, **options),
    "performer": lambda **options: PerformerCrossAttention(HEADS, SIZE, 12, use_bias=True, seed=1, **options),
    "performer_relu": lambda **options: PerformerCrossAttention(HEADS, SIZE, 8, "relu", seed=1, **options),
    "performer_elu": lambda **options: PerformerCrossAttention(HEADS, SIZE, features="elu", seed=1, **options),
}
each = pytest.mark.parametrize("kind", KINDS)


def _make(kind, **options):
    layer = KINDS[kind](**options)
    layer.build((None, None, WIDTH), (None, None, CONTEXT_WIDTH))
    cases.perturb(layer)
    return layer


def _data(length=7, context_length=11, batch=3, seed=0):
    """Two sequences with masks, of which the last row of the context has no real token."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(batch, length, WIDTH)).astype("float32")
    context = rng.normal(size=(batch, context_length, CONTEXT_WIDTH)).astype("float32")
    mask, context_mask = rng.random((batch, length)) < 0.8, rng.random((batch, context_length)) < 0.7
    context_mask[0, 0], context_mask[-1] = True, False
    return x, context, mask, context_mask


def _reference(layer, x, context, mask, context_mask):
    weights = [weight.numpy() for weight in layer.trainable_weights]
    projections = attention_reference.Projections.from_weights(weights, False, layer.use_bias)
    log_weights = None
    if isinstance(layer, PerformerCrossAttention):
        rows = None if layer.stored_rows() is None else layer.stored_rows().numpy()
        log_weights = lambda q, k: feature_reference.log_weights(layer.features, q, k, rows)
    return attention_reference.cross_attention(x, context, projections, mask, context_mask, log_weights)


def _outputs_and_gradients(layer, mask, context_mask):
    def call(x, context):
        with tf.GradientTape() as tape:
            tape.watch([x, context])
            output = layer(x, context, mask=mask, context_mask=context_mask)
            loss = tf.reduce_sum(tf.sin(output))
        return [output, *tape.gradient(loss, [x, context, *layer.trainable_variables])]

    return call


def test_kinds_with_cross_attention_declare_it():
    declared = {kind for kind, layer in ATTENTION_LAYERS.items() if layer.capabilities.cross_attention}
    assert declared == set(CROSS_ATTENTION_LAYERS)


@each
@pytest.mark.parametrize("length, context_length", [(1, 1), (7, 11), (9, 1), (1, 13)])
def test_it_equals_the_reference(kind, length, context_length):
    layer, data = _make(kind), _data(length, context_length)
    x, context, mask, context_mask = data
    output = layer(x, context, mask=mask, context_mask=context_mask)
    np.testing.assert_allclose(output, _reference(layer, *data), atol=2e-6 * np.abs(output).max() + 1e-6)
    everything = np.ones_like(mask), np.ones_like(context_mask)
    np.testing.assert_allclose(layer(x, context), _reference(layer, x, context, *everything), atol=5e-6)


@each
def test_gradients_are_those_of_the_reference(kind):
    """Central differences of the reference, along random directions of all inputs and weights."""
    layer, (x, context, mask, context_mask) = _make(kind), _data()
    _, *gradients = _outputs_and_gradients(layer, mask, context_mask)(tf.constant(x), tf.constant(context))
    values = [x.astype("float64"), context.astype("float64"), *(w.numpy() for w in layer.trainable_weights)]
    twin = _make(kind, dtype="float64")

    def loss(values):
        for weight, value in zip(twin.trainable_weights, values[2:], strict=True):
            weight.assign(value)
        return np.sin(_reference(twin, values[0], values[1], mask, context_mask)).sum()

    rng = np.random.default_rng(3)
    for index, gradient in enumerate(gradients):
        direction = rng.normal(size=values[index].shape)
        shifted = [[v + s * 1e-5 * direction if i == index else v for i, v in enumerate(values)] for s in (1, -1)]
        expected = (loss(shifted[0]) - loss(shifted[1])) / 2e-5
        found = np.sum(np.asarray(gradient, np.float64) * direction)
        assert abs(found - expected) < 1e-4 * np.sqrt(np.sum(np.square(gradient))) + 1e-4


@each
@pytest.mark.parametrize("mode", ["graph", "dynamic", "xla", pytest.param("dynamic xla", marks=pytest.mark.slow)])
def test_graphs_and_few_queries_at_a_time_give_the_same(kind, mode):
    layer, (x, context, mask, context_mask) = _make(kind), _data()
    call, data = _outputs_and_gradients(layer, mask, context_mask), [tf.constant(x), tf.constant(context)]
    expected = call(*data)
    with budgets.override(all_pairs_bytes=4 * 11 * 3 * 6, feature_bytes=4 * 12 * 6 * 3):
        modes.assert_close(modes.run(mode, call, data, x.shape[1]), expected)


@each
def test_masked_tokens_and_their_content_change_nothing(kind):
    layer, (x, context, mask, context_mask) = _make(kind), _data()
    call = _outputs_and_gradients(layer, mask, context_mask)
    expected = call(tf.constant(x), tf.constant(context))
    broken = [np.where(keep[..., None], data, np.nan) for keep, data in ((mask, x), (context_mask, context))]
    for found, wanted in zip(call(*map(tf.constant, broken)), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-6)
    for row in range(2):
        alone = layer(x[row : row + 1, mask[row]], context[row : row + 1, context_mask[row]])
        np.testing.assert_allclose(alone[0], expected[0][row][mask[row]], atol=1e-5)
    bias = layer.trainable_weights[-1].numpy() if layer.use_bias else 0.0
    np.testing.assert_array_equal(expected[0][-1], np.broadcast_to(bias, expected[0][-1].shape))


@each
@pytest.mark.parametrize("beams", [1, 3])
def test_decoding_equals_a_call(kind, beams):
    layer, (x, context, _, context_mask) = _make(kind), _data(length=3)
    state = layer.context_state(tf.constant(context), tf.constant(context_mask))
    tokens = x[:, :beams].reshape([-1, 1, WIDTH])
    expected = layer(x[:, :beams], context, context_mask=context_mask)
    np.testing.assert_allclose(layer.decode(tf.constant(tokens), state), tf.reshape(expected, tokens.shape), atol=1e-5)
    assert {value.shape[0] for value in state.values()} == {3}


def test_the_state_of_a_performer_does_not_grow_with_the_context():
    layer = _make("performer")
    sizes = {
        sum(x.numpy().nbytes for x in layer.context_state(tf.zeros([1, length, CONTEXT_WIDTH]), None).values())
        for length in (5, 500)
    }
    assert len(sizes) == 1


def test_dropout_follows_from_the_seed_and_the_row():
    layer, (x, context, *_) = _make("full", dropout=0.5), _data()
    call = lambda x, context, seed: layer(x, context, seed=tf.constant(seed), training=True)
    output = call(x, context, [1, 2])
    np.testing.assert_array_equal(output, call(x, context, [1, 2]))
    assert np.abs(output - call(x, context, [1, 3])).max() > 1e-2
    np.testing.assert_allclose(output[1:], call(x[1:], context[1:], [1, 2, 1]), atol=1e-6)
    assert np.abs(layer(x, context, training=True) - layer(x, context, training=True)).max() > 1e-2
    np.testing.assert_array_equal(layer(x, context), layer(x, context, seed=tf.constant([1, 2])))


def test_redrawn_rows_follow_from_the_step():
    layer, (x, context, *_) = _make("performer", redraw_every=2), _data()
    call = lambda step: layer(x, context, seed=tf.constant([5, step]), training=True).numpy()
    np.testing.assert_array_equal(call(2), call(3))
    assert np.abs(call(3) - call(4)).max() > 1e-4
    assert np.abs(call(3) - layer(x, context)).max() > 1e-4


@each
def test_inputs_are_refused_by_name(kind):
    layer, (x, context, mask, context_mask) = _make(kind), _data()
    with pytest.raises(ValueError, match="context must be .*14"):
        layer(x, context[..., :-1])
    with pytest.raises(ValueError, match="context_mask must be a boolean or integer tensor.*11"):
        layer(x, context, context_mask=mask)
    with pytest.raises(ValueError, match="mask must be a boolean or integer tensor.*7"):
        layer(x, context, mask=context_mask)
    with pytest.raises(ValueError, match="inputs must be"):
        layer(x[0], context)


def test_arguments_are_refused_by_name():
    with pytest.raises(ValueError, match=r"dropout must be a number in \[0, 1\)"):
        FullCrossAttention(2, 4, dropout=1.0)
    with pytest.raises(ValueError, match="num_features must be left out with features='elu'"):
        PerformerCrossAttention(2, 4, 8, features="elu")
    with pytest.raises(ValueError, match="takes context .batch, length, width. with a known width"):
        FullCrossAttention(2, 4).build((None, None, 4), (None, None, None))
