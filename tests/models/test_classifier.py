"""The classifier: its head against numpy, padding, training."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.models import ReformerClassifier
from tests.models import cases

# Without hashing, rounding errors stay small; padding of hashed sequences has tests of its own.
NO_HASH = {"attention_layers": ["local", "full"], "attention_options": None}

# Learned in a few seconds.
SHALLOW = {"attention_layers": ["full"], "num_layers": 1}


def _head(model, vectors):
    """Logits `[B, classes]` of one vector a sequence, in numpy."""
    inner = np.tanh(vectors @ np.asarray(model.hidden.kernel) + np.asarray(model.hidden.bias))
    return inner @ np.asarray(model.output_projection.kernel) + np.asarray(model.output_projection.bias)


@pytest.mark.parametrize("streams", ["mean", "concatenate"])
def test_the_head_equals_numpy(streams):
    ids, mask = cases.ids(), cases.mask()
    for pooling in ("first", "mean"):
        model = cases.make("classifier", pooling=pooling, combine_streams=streams)
        for passed_mask in (None, mask):
            rows = np.ones(ids.shape, bool) if passed_mask is None else mask
            vectors = np.asarray(
                model.backbone(ids, mask=passed_mask) if passed_mask is not None else model.backbone(ids)
            )
            seen = [v[m] for v, m in zip(vectors, rows, strict=True)]
            pooled = np.stack([v[0] if pooling == "first" else v.mean(axis=0) for v in seen])
            np.testing.assert_allclose(model(ids, mask=passed_mask), _head(model, pooled), atol=1e-4)


@pytest.mark.parametrize("pooling", ["first", "mean"])
def test_padding_its_content_and_neighbours_do_not_matter(pooling):
    model, ids, mask = cases.make("classifier", pooling=pooling, **NO_HASH), cases.ids(), cases.mask()
    expected = model(ids, mask=mask)
    padded = np.concatenate([np.where(mask, ids, 7), cases.ids(length=31, seed=5)], axis=1)
    np.testing.assert_allclose(model(padded, mask=np.pad(mask, [(0, 0), (0, 31)])), expected, atol=1e-5)
    np.testing.assert_allclose(model(ids[::-1], mask=mask[::-1]), expected[::-1], atol=1e-5)
    np.testing.assert_allclose(model(ids[1:2, :25]), expected[1:2], atol=1e-5)
    # The first token is masked, so the vector is that of a later one.
    assert not mask[2, 0]
    changed = ids.copy()
    changed[2, 0] += 1
    np.testing.assert_allclose(model(changed % cases.VOCABULARY, mask=mask), expected, atol=1e-5)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("pooling", ["first", "mean"])
def test_a_row_that_is_masked_altogether_has_the_zero_vector(pooling, policy):
    model, ids, mask = cases.make("classifier", pooling=pooling, dtype=policy), cases.ids(), cases.mask()
    mask[1] = False
    logits = model(ids, mask=mask)
    assert np.isfinite(logits).all()
    np.testing.assert_allclose(
        logits[1], _head(model, np.zeros((1, 32)))[0], atol=0.05 if policy != "float32" else 1e-5
    )


def test_dropout_in_the_head_is_of_two_layers_and_on_in_training_only():
    model, ids = cases.make("classifier", dropout=0.5), cases.ids()
    layers = [model.input_dropout, model.hidden_dropout]
    used = {layer.seed for layer in model._flatten_layers() if hasattr(layer, "seed") and layer not in layers}
    assert len(used | {layer.seed for layer in layers}) == len(used) + 2
    vectors = np.ones((2, 1, 1000), "float32")
    nonzero = [np.asarray(layer(vectors, seed=np.array([1, 2]), training=True)) != 0 for layer in layers]
    assert all(0.4 < k.mean() < 0.6 for k in nonzero) and 0.4 < (nonzero[0] == nonzero[1]).mean() < 0.6
    for layer in layers:
        rate, layer.rate = layer.rate, 0.0
        without = np.asarray(model(ids, seed=np.array([1, 2]), training=True))
        layer.rate = rate
        assert np.abs(without - model(ids, seed=np.array([1, 2]), training=True)).max() > 1e-2
    np.testing.assert_array_equal(model(ids, training=False), model(ids))


def _data():
    """Does a row hold the id 3? Rows are of different lengths."""
    rng = np.random.default_rng(0)
    ids = rng.integers(4, cases.VOCABULARY, (64, 20)).astype("int32")
    labels = np.arange(64) % 2
    ids[labels == 1, rng.integers(1, 10, 32)] = 3
    return {"ids": ids, "mask": np.arange(20) < rng.integers(10, 21, (64, 1))}, labels


def _fitted(epochs, **changes):
    keras.utils.set_random_seed(1)
    model = ReformerClassifier(**{**cases.ARGUMENTS, **SHALLOW, "num_classes": 2, "dropout": 0.05, **changes})
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    eager = epochs == 1  # A graph takes longer to make than a few steps do.
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"], run_eagerly=eager, jit_compile=False)
    return model.fit(*_data(), batch_size=32, epochs=epochs, verbose=0).history


def test_fit_learns():
    history = _fitted(epochs=15)
    assert history["loss"][-1] < 0.5 * history["loss"][0] and history["accuracy"][-1] > 0.9


def test_fit_can_be_repeated():
    losses = [_fitted(1, pooling="mean", dropout=0.3, attention_layers=["lsh"])["loss"] for _ in range(2)]
    assert losses[0] == losses[1] and np.isfinite(losses).all()


def test_fit_on_replicas_equals_fit_on_one_device(mirrored_strategy):
    """With dropout, which follows a row's index in the global batch."""
    results = []
    for strategy in (tf.distribute.get_strategy(), mirrored_strategy):
        with strategy.scope():
            model = cases.make("classifier", dropout=0.3, **SHALLOW, attention_options=None)
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            model.compile(keras.optimizers.SGD(0.1), loss, jit_compile=False)
        data, labels = {"ids": cases.ids(4), "mask": np.ones((4, 50), "int32")}, np.arange(4) % 3
        model.fit(data, labels, epochs=2, batch_size=4, verbose=0, shuffle=False)
        results.append(model.get_weights())
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_arguments_are_checked():
    with pytest.raises(
        ValueError, match=r"pooling must be one of \('first', 'last', 'mean'\). Received: pooling='max'"
    ):
        cases.make("classifier", pooling="max")
    with pytest.raises(ValueError, match="num_classes must be a positive integer. Received: num_classes=0"):
        cases.make("classifier", num_classes=0)
    with pytest.raises(ValueError, match="mask must be a boolean or integer tensor"):
        cases.make("classifier")(cases.ids(), mask=np.ones((3, 49), bool))
