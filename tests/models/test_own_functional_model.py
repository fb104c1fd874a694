"""A user's own functional model with a reversible stack: fit, also on replicas, and SavedModels."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.layers import (
    ChunkedFeedForward,
    FullSelfAttention,
    LocalSelfAttention,
    LSHSelfAttention,
    ResidualBranch,
    ReversibleStack,
)

PAD, IDS, WIDTH = 0, 12, 16


def _model(dropout=0.2, *, kinds):
    """Ids with an implicit mask to the probability of a class."""
    attention = {
        "local": lambda: LocalSelfAttention(2, 8, chunk_length=8, dropout=dropout, seed=1),
        "full": lambda: FullSelfAttention(2, 8, dropout=dropout, seed=2),
        "lsh": lambda: LSHSelfAttention(2, 8, chunk_length=8, num_hashes=2, dropout=dropout, seed=3),
    }
    blocks = [
        (
            ResidualBranch(attention[kind](), dropout, seed=10 + number),
            ResidualBranch(ChunkedFeedForward(32), dropout, seed=20 + number),
        )
        for number, kind in enumerate(kinds)
    ]
    ids = keras.Input((None,), dtype="int32", name="ids")
    x = keras.layers.Embedding(IDS, WIDTH, mask_zero=True)(ids)
    x = ReversibleStack(blocks, seed=5)(x)
    x = keras.layers.GlobalAveragePooling1D()(x)
    model = keras.Model(ids, keras.layers.Dense(1)(x))
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(0.3 * rng.normal(size=variable.shape))
    return model


def _ids(rows=8, length=30):
    """Rows of different lengths."""
    rng = np.random.default_rng(1)
    ids = rng.integers(1, IDS, (rows, length))
    return np.where(np.arange(length) < rng.integers(length // 2, length + 1, (rows, 1)), ids, PAD).astype("int32")


def _fitted(strategy, kinds):
    with strategy.scope():
        model = _model(kinds=kinds)
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.2), loss, metrics=["accuracy"], jit_compile=False)
    labels = (np.arange(8) % 2).astype("float32")[:, None]
    history = model.fit(_ids(), labels, batch_size=4, epochs=3, shuffle=False, verbose=0).history
    return history["loss"], model.get_weights()


@pytest.mark.parametrize("kinds", [("local",), pytest.param(("local", "full"), marks=pytest.mark.slow)])
def test_fit_on_replicas_equals_fit_on_one_device(mirrored_strategy, kinds):
    """With dropout, which follows a row's index in the global batch."""
    losses, weights = _fitted(tf.distribute.get_strategy(), kinds)
    again, others = _fitted(mirrored_strategy, kinds)
    np.testing.assert_allclose(again, losses, rtol=1e-5)
    for weight, other in zip(weights, others, strict=True):
        np.testing.assert_allclose(other, weight, atol=1e-5)
    assert np.abs(weights[0] - _model(kinds=kinds).get_weights()[0]).max() > 1e-3, "nothing was learnt"


@pytest.mark.parametrize(
    "way, kind",
    [
        ("tf.saved_model.save", "local"),
        pytest.param("tf.saved_model.save", "lsh", marks=pytest.mark.slow),
        pytest.param("model.export", "lsh", marks=pytest.mark.slow),
    ],
)
def test_saved_models_compute_what_the_model_computes(way, kind, tmp_path):
    model, path = _model(kinds=[kind]), str(tmp_path / "saved")
    if way == "model.export":
        model.export(path, verbose=False)
        loaded = tf.saved_model.load(path)
        call = loaded.serve
    else:
        signature = tf.function(lambda ids: model(ids), input_signature=[tf.TensorSpec([None, None], tf.int32)])
        tf.saved_model.save(model, path, signatures=signature)
        loaded = tf.saved_model.load(path)
        call = lambda ids: loaded.signatures["serving_default"](tf.constant(ids))["output_0"]
    for rows, length in ((1, 1), (2, 17), (8, 30)):
        ids = _ids(rows, length)
        np.testing.assert_allclose(call(ids), model(ids), atol=1e-5)
