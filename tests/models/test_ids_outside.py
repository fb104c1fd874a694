"""Ids and labels out of range, and too long inputs, give an error in eager mode and NaN in graphs, also with XLA."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from reformer_tf import models
from reformer_tf.layers import AxialPositionEmbedding, LSHSelfAttention
from reformer_tf.layers.positions import LearnedPositionEmbedding
from reformer_tf.layers.token_embedding import TokenEmbedding
from reformer_tf.layers.token_head import TokenHead
from tests.models import cases

VOCABULARY = 11
SMALL = {
    "vocabulary_size": VOCABULARY,
    "max_sequence_length": 16,
    "num_layers": 1,
    "hidden_dim": 8,
    "num_heads": 1,
    "key_dim": 4,
    "intermediate_dim": 8,
    "attention_layers": ["local"],
    "chunk_length": 4,
    "reversible": False,
}
MODELS = {
    "backbone": (models.ReformerBackbone, {}),
    "causal_lm": (models.ReformerCausalLM, {}),
    "masked_lm": (models.ReformerMaskedLM, {}),
    "classifier": (models.ReformerClassifier, {"num_classes": 3}),
    "span_predictor": (models.ReformerSpanPredictor, {}),
}
each = pytest.mark.parametrize("case", sorted(MODELS))
compiled = pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])


def make(case, **changes):
    model, arguments = MODELS[case]
    return cases.perturb(model(**{**SMALL, **arguments, **changes}))


def ids(batch=3, length=8):
    return np.random.default_rng(1).integers(0, VOCABULARY, (batch, length)).astype("int32")


def with_one(value, row=1, position=2):
    result = ids().astype("int64")
    result[row, position] = value
    return result


def _graph(function, jit_compile):
    """A function whose lengths are not known when it is traced."""
    unknown = lambda x: tf.TensorSpec([None, *(None if i == 0 else n for i, n in enumerate(x.shape[1:]))], x.dtype)
    run = tf.function(function, jit_compile=jit_compile, autograph=False)
    return lambda *args: run.get_concrete_function(*map(unknown, args))(*args)


@each
def test_an_id_outside_is_an_error_in_eager_mode(case):
    model = make(case)
    # A functional Keras model casts its inputs to int32 before the layers see them.
    for value in (-1, -100, VOCABULARY, *(() if case == "backbone" else (2**32 + 5, -(2**32) + 5))):
        with pytest.raises(ValueError, match=r"ids must be integers in \[0, 11\) wherever they count. Received: -?\d+"):
            model(with_one(value))


@each
def test_what_stands_under_the_mask_may_be_anything(case):
    model, mask = make(case), np.ones((3, 8), bool)
    mask[1, 2], mask[2, 5:] = False, False
    expected, graph = cases.flat(model(ids(), mask=mask)), tf.function(model, autograph=False)
    for pad in (-1, -100, 300):
        padded = tf.constant(np.where(mask, ids(), pad))
        for call in (model, graph) if case == "masked_lm" else (model,):
            for a, b in zip(cases.flat(call(padded, mask=mask)), expected, strict=True):
                seen = np.ones(3, bool) if case == "classifier" else mask
                np.testing.assert_allclose(a[seen], b[seen], atol=1e-5)


@pytest.mark.parametrize("case", ["causal_lm", "masked_lm"])
def test_losses_of_tokens_under_the_mask_are_zero(case):
    model, mask = make(case), np.ones((3, 8), bool)
    mask[1, 2:], mask[2, 5:] = False, False
    padded = np.where(mask, ids(), -100)
    arguments = (padded, padded) if case == "masked_lm" else (padded,)
    right = (ids(), ids()) if case == "masked_lm" else (ids(),)
    for call in (model.token_losses, tf.function(model.token_losses, autograph=False)):
        np.testing.assert_allclose(call(*arguments, mask=mask), model.token_losses(*right, mask=mask), atol=1e-5)


@compiled
def test_an_id_outside_has_a_vector_of_nan_in_a_graph(jit_compile):
    layer = TokenEmbedding(VOCABULARY, 4, 16)
    expected = layer(ids()).numpy()
    wrong = ids()
    wrong[0, 1], wrong[1, 2], wrong[2, 7] = -1, VOCABULARY, 2**31 - 1
    found = _graph(layer, jit_compile)(tf.constant(wrong)).numpy()
    outside = (wrong < 0) | (wrong >= VOCABULARY)
    assert outside.sum() == 3 and np.isnan(found[outside]).all()
    np.testing.assert_array_equal(found[~outside], expected[~outside])


@compiled
def test_a_target_outside_has_a_loss_of_nan_in_a_graph(jit_compile):
    head, hidden = TokenHead(VOCABULARY), tf.random.stateless_normal([3, 8, 4], [1, 2])
    head.build([None, None, 4])
    expected = head.token_losses(hidden, ids()).numpy()
    wrong = ids()
    wrong[0, 1], wrong[1, 2], wrong[2, 7] = -100, VOCABULARY, -1
    with pytest.raises(ValueError, match=r"targets must be integers in \[0, 11\).*Received: -100, 11, -1"):
        head.token_losses(hidden, wrong)
    outside = (wrong < 0) | (wrong >= VOCABULARY)
    found = _graph(head.token_losses, jit_compile)(hidden, tf.constant(wrong)).numpy()
    assert np.isnan(found[outside]).all()
    np.testing.assert_allclose(found[~outside], expected[~outside], atol=1e-6)


@pytest.mark.parametrize("ignore_id", [-100, 3, -1])
def test_an_ignored_target_has_no_loss(ignore_id):
    head, hidden = TokenHead(VOCABULARY), tf.random.stateless_normal([3, 8, 4], [1, 2])
    head.build([None, None, 4])
    targets = with_one(ignore_id)
    ignored = targets == ignore_id
    plain = np.asarray(head.token_losses(hidden, np.where(ignored, 0, targets)))
    for call in (head.token_losses, tf.function(head.token_losses, autograph=False)):
        found = call(hidden, tf.constant(targets), ignore_id=ignore_id)
        np.testing.assert_allclose(found, np.where(ignored, 0, plain), atol=1e-6)


@pytest.mark.parametrize(
    "layer, width, longest",
    [
        (TokenEmbedding(VOCABULARY, 4, 6), None, 6),
        (LearnedPositionEmbedding(6), 4, 6),
        (AxialPositionEmbedding((2, 3), (2, 2)), 4, 6),
        pytest.param(
            LSHSelfAttention(1, 2, chunk_length=2, max_sequence_length=6, window="chunk"), 4, 6, marks=pytest.mark.slow
        ),
    ],
    ids=["token_embedding", "learned", "axial", "lsh"],
)
def test_an_input_that_is_too_long_is_nan_where_xla_drops_the_assertion(layer, width, longest):
    inputs = tf.zeros([1, longest + 1], tf.int32) if width is None else tf.ones([1, longest + 1, width])
    with pytest.raises(ValueError, match="at most.*Received"):
        layer(inputs)
    run = _graph(layer, True)
    assert np.isnan(run(inputs)).all()
    np.testing.assert_allclose(run(inputs[:, :longest]), layer(inputs[:, :longest]), atol=1e-6)
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most"):
        _graph(layer, False)(inputs)


def test_gradients_are_those_of_a_plain_look_up():
    layer = TokenEmbedding(VOCABULARY, 4)
    upstream = np.random.default_rng(0).normal(size=(3, 8, 4)).astype("float32")
    layer.build([None, None])
    with tf.GradientTape(persistent=True) as tape:
        vectors = layer(ids())
        plain = tf.gather(2.0 * layer.embeddings.value, ids())
    np.testing.assert_array_equal(vectors, plain)
    found, expected = (tape.gradient(x, layer.embeddings.value, upstream) for x in (vectors, plain))
    np.testing.assert_array_equal(tf.convert_to_tensor(found), tf.convert_to_tensor(expected))


@pytest.mark.parametrize("case", ["masked_lm", "span_predictor"])
def test_ignore_id_is_in_the_config_and_may_be_missing_there(case, tmp_path):
    model = make(case, ignore_id=7)
    model.save(tmp_path / "model.keras")
    assert keras.models.load_model(tmp_path / "model.keras").ignore_id == model.get_config()["ignore_id"] == 7
    older = make(case).get_config()
    assert older.pop("ignore_id") == -100
    assert type(model).from_config(older).ignore_id == -100
    assert make(case, ignore_id=None).get_config()["ignore_id"] is None
    with pytest.raises(ValueError, match="ignore_id must be an integer. Received: ignore_id='pad'"):
        make(case, ignore_id="pad")
