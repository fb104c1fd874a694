"""Models take dense integer ids [batch, length], and refuse other inputs by name, eagerly, in graphs and in `fit`."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from reformer_tf import models

SIZES = (20, 32, 1, 16, 2, 8, 16, ["local"])
MODELS = {
    "backbone": models.ReformerBackbone,
    "causal": models.ReformerCausalLM,
    "masked": models.ReformerMaskedLM,
    "classifier": functools.partial(models.ReformerClassifier, num_classes=3),
    "span": models.ReformerSpanPredictor,
}
IDS = np.arange(12, dtype="int32").reshape(2, 6)
RAGGED = tf.ragged.constant([[1, 2, 3], [4, 5]], dtype=tf.int32)
SPARSE = tf.sparse.from_dense(IDS)
_RAGGED = r"must be a dense tensor: ragged.to_tensor\(\).*mask=tf.sequence_mask.*Received: .* as a RaggedTensor"
_IDS = r"ids must be integers \[batch, length\]. Received: ids of"
WRONG = {
    "ragged": (RAGGED, f"ids {_RAGGED}"),
    "sparse": (SPARSE, "ids must be a dense tensor: tf.sparse.to_dense"),
    "scalar": (np.int32(3), rf"{_IDS} shape \(\)"),
    "one axis": (IDS[0], rf"{_IDS} shape \(6,\)"),
    "three axes": (IDS[None], rf"{_IDS} shape \(1, 2, 6\)"),
    "whole floats": (IDS.astype("float32"), f"{_IDS}.*float32"),
    "fractions": (IDS + 0.5, f"{_IDS}.*float64"),
    "NaN": (IDS * np.nan, f"{_IDS}.*float64"),
    "booleans": (IDS > 0, f"{_IDS}.*bool"),
    "complex": (IDS.astype("complex64"), f"{_IDS}.*complex64"),
    "strings": (IDS.astype(str), f"{_IDS}.*string"),
    "None": (None, f"{_IDS} type NoneType"),
    "rows in lists": (IDS.tolist(), f"{_IDS} type list"),
    "a flat list": ([1, 2, 3], f"{_IDS} type list"),
    "ragged in a dict": ({"ids": RAGGED}, f"ids.*{_RAGGED}"),
    "something else in a dict": ({"ids": IDS, "x": IDS}, r"Received: \['ids', 'x'\]"),
}

# The check is the same Python function everywhere, so graphs are tested with some of the values.
IN_GRAPHS = ("ragged", "fractions", "one axis")


@functools.cache
def _model(kind):
    return MODELS[kind](*SIZES, chunk_length=4)


@pytest.mark.parametrize("kind", MODELS)
def test_calls(kind):
    model = _model(kind)
    for name, (value, message) in WRONG.items():
        with pytest.raises(ValueError, match=message):
            model(value)
        if name in IN_GRAPHS:
            with pytest.raises(ValueError, match=message):
                tf.function(lambda value=value: model(value)).get_concrete_function()


@pytest.mark.parametrize("kind", MODELS)
def test_unknown_ranks(kind):
    call = tf.function(_model(kind), input_signature=[tf.TensorSpec(None, tf.int32)])
    with pytest.raises(ValueError, match=f"{_IDS} shape unknown and dtype int32"):
        call.get_concrete_function()


@pytest.mark.parametrize("kind", MODELS)
def test_symbolic_ids(kind):
    """The default type of `keras.Input` is no type of ids: half precision would round them to other ids."""
    model = _model(kind)
    with pytest.raises(ValueError, match=f"{_IDS}.*float32"):
        model(keras.Input([None]))
    with pytest.raises(ValueError, match="ids must be a dense tensor"):
        model(keras.Input([None], dtype="int32", ragged=True))


@pytest.mark.parametrize("kind", MODELS)
def test_what_works(kind):
    """Integers of any size, and an empty batch."""
    expected = keras.tree.flatten(_model(kind)(IDS))
    for dtype in ("int64", "uint8"):
        for value, other in zip(keras.tree.flatten(_model(kind)(IDS.astype(dtype))), expected, strict=True):
            np.testing.assert_array_equal(value, other)
    assert all(x.shape[0] == 0 for x in keras.tree.flatten(_model(kind)(IDS[:0])))


@pytest.mark.parametrize("kind", MODELS)
def test_ragged_masks_and_segments(kind):
    model = _model(kind)
    mask = tf.cast(RAGGED, tf.bool)
    for name, value in (("mask", mask), ("segment_ids", RAGGED)):
        with pytest.raises(ValueError, match=f"{name} {_RAGGED}"):
            model(IDS, **{name: value})
        if kind != "backbone":
            with pytest.raises(ValueError, match=f"{name}.*{_RAGGED}"):
                model({"ids": IDS, name: value})


def test_a_backbone_takes_no_mask_in_a_dict():
    """Keras would ignore it."""
    with pytest.raises(
        ValueError, match=r"mask and segment_ids are arguments of the call.*Received: \['ids', 'mask'\]"
    ):
        _model("backbone")({"ids": IDS, "mask": IDS > 0})


def test_the_way_that_the_message_shows():
    """A ragged batch made dense, with its mask, gives the same results as each row by itself."""
    model = _model("classifier")
    found = model(RAGGED.to_tensor(), mask=tf.sequence_mask(RAGGED.row_lengths()))
    for row, result in zip(RAGGED.to_list(), found, strict=True):
        np.testing.assert_allclose(result, model(np.array([row]))[0], atol=1e-6)


def test_token_losses():
    causal, masked = _model("causal"), _model("masked")
    for value, message in (
        (RAGGED, f"ids {_RAGGED}"),
        (IDS + 0.5, f"{_IDS}.*float64"),
        (IDS[0], rf"{_IDS} shape \(6,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            causal.token_losses(value)
        with pytest.raises(ValueError, match=message):
            masked.token_losses(value, targets=IDS)
    with pytest.raises(ValueError, match=f"targets {_RAGGED}"):
        masked.token_losses(IDS, targets=RAGGED)
    with pytest.raises(ValueError, match=f"mask {_RAGGED}"):
        causal.token_losses(IDS, mask=RAGGED)
    call = tf.function(causal.token_losses, input_signature=[tf.TensorSpec(None, tf.int32)])
    with pytest.raises(ValueError, match=f"{_IDS} shape unknown"):
        call.get_concrete_function()
    assert causal.token_losses(IDS.tolist()).shape == (2, 5)


def test_fit_and_predict():
    model = models.ReformerCausalLM(*SIZES, chunk_length=4)
    model.compile("sgd", jit_compile=False)
    dataset = tf.data.Dataset.from_tensors(RAGGED)
    for x, message in (
        (RAGGED, f"ids.*{_RAGGED}"),
        (dataset, f"ids.*{_RAGGED}"),
        ({"ids": IDS, "mask": RAGGED}, f"mask.*{_RAGGED}"),
        (IDS + 0.5, f"{_IDS}"),
    ):
        with pytest.raises(ValueError, match=message):
            model.fit(x, verbose=0)
        with pytest.raises(ValueError, match=message):
            model.predict(x, verbose=0)
