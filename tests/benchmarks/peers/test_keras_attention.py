"""Our model with Keras' own attention."""

import math

import numpy as np
import pytest
import tensorflow as tf

from benchmarks.peers.keras_attention import KIND, KerasSelfAttention
from reformer_tf.layers.attention.registry import ATTENTION_LAYERS
from reformer_tf.models import ReformerCausalLM


def _model(kind):
    # The loss of a tied head begins far from chance.
    return ReformerCausalLM(256, 64, 2, 32, 2, 16, 128, [kind], tie_embeddings=False)


@pytest.fixture
def model(monkeypatch):
    monkeypatch.setitem(ATTENTION_LAYERS, KIND, KerasSelfAttention)
    return _model(KIND)


def test_it_trains_like_ours(model):
    ids = np.random.default_rng(0).integers(0, 256, (1, 65))
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model.token_losses(ids, training=True, seed=tf.constant([0, 0])))
    gradients = tape.gradient(loss, model.trainable_variables)
    assert float(loss) == pytest.approx(math.log(256), abs=0.4)
    assert all(np.any(tf.convert_to_tensor(g).numpy()) for g in gradients)
    lsh = _model("lsh")
    keys = 2 * 32 * 32
    assert model.count_params() - keys == sum(int(np.prod(v.shape)) for v in lsh.trainable_variables)


def test_it_is_exact_and_causal(model):
    ids = np.random.default_rng(0).integers(0, 256, (1, 64))
    changed = ids.copy()
    changed[:, 40:] = 0
    difference = np.abs(model(ids).numpy() - model(changed).numpy()).max(axis=(0, 2))
    assert difference[:40].max() < 1e-5 < difference[40]
    changed = ids.copy()
    changed[:, 0] += 1
    assert np.abs(model(ids).numpy() - model(changed).numpy()).max(axis=(0, 2)).min() > 0
