"""Keras' fit of the language model: without a loss, with one, and on several replicas."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.models import ReformerCausalLM

SMALL = {
    "vocabulary_size": 40,
    "max_sequence_length": 150,
    "num_layers": 2,
    "hidden_dim": 24,
    "num_heads": 2,
    "key_dim": 8,
    "intermediate_dim": 32,
    "attention_layers": ["local", "lsh"],
    "chunk_length": 8,
    "num_hashes": 2,
}


def _ids(batch, length):
    return np.random.default_rng(1).integers(0, 40, (batch, length)).astype("int32")


@pytest.mark.parametrize("jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_fit_without_a_loss_learns(jit_compile):
    model = ReformerCausalLM(**SMALL)
    ids = np.tile(np.arange(40, dtype="int32"), (8, 3))
    model.compile(keras.optimizers.Adam(1e-2), jit_compile=jit_compile)
    mask = np.ones(ids.shape, bool)
    mask[:3, 100:] = False
    data = {"ids": ids, "mask": mask}
    history = model.fit(data, epochs=15, batch_size=4, verbose=0).history["loss"]
    assert history[-1] < 0.5 * history[0]
    expected = model.token_losses(ids, mask=mask).numpy().sum() / mask[:, 1:].sum()
    assert model.evaluate(data, batch_size=4, verbose=0) == pytest.approx(expected, rel=1e-4)
    assert model.evaluate(ids, batch_size=4, verbose=0) == pytest.approx(
        model.token_losses(ids).numpy().mean(), rel=1e-4
    )


@pytest.mark.parametrize("with_mask", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_fit_on_replicas_equals_fit_on_one_device(mirrored_strategy, with_mask):
    ids, results, losses = _ids(batch=8, length=50), [], []
    mask = (np.random.default_rng(3).random(ids.shape) < 0.7).astype("int32")
    for scope in (tf.distribute.get_strategy(), mirrored_strategy):
        with scope.scope():
            model = ReformerCausalLM(**{**SMALL, "num_layers": 1, "attention_layers": ["lsh"]}, redraw_rotations=False)
            rng = np.random.default_rng(0)
            for variable in model.trainable_variables:
                variable.assign(0.1 * rng.normal(size=variable.shape))
            model.compile(keras.optimizers.SGD(0.5), jit_compile=False)
        data = {"ids": ids, "mask": mask} if with_mask else ids
        losses.append(model.fit(data, epochs=2, batch_size=4, verbose=0, shuffle=False).history["loss"])
        results.append(model.get_weights())
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
    assert losses[0][-1] < losses[0][0]
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.slow
def test_fit_refuses_targets_without_a_loss_and_takes_them_with_one():
    model, ids = ReformerCausalLM(**SMALL), _ids(batch=3, length=20)
    model.compile("adam", jit_compile=False)
    with pytest.raises(ValueError, match="fit takes ids alone.*Received: y="):
        model.fit(ids[:, :-1], ids[:, 1:], verbose=0)
    with pytest.raises(ValueError, match="fit takes no sample_weight.*Received: sample_weight of type"):
        model.fit(ids, sample_weight=np.ones(3), verbose=0)
    with pytest.raises(ValueError, match='x must be ids, or a dict.*Received: .*"?masks'):
        model.fit({"ids": ids, "masks": ids}, verbose=0)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    model.fit(ids[:, :-1], ids[:, 1:], verbose=0)
