"""A classifier on a converted checkpoint learns with adapters what its head alone cannot, and is saved and exported."""

import argparse
import json
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from safetensors import numpy as safetensors_numpy

from reformer_tf.export import export_saved_model
from reformer_tf.models import ReformerCausalLM, ReformerClassifier
from reformer_tf.pretrained import from_huggingface, huggingface_config
from reformer_tf.pretrained.huggingface import weight_targets

LENGTH, RANK = 32, 8
# As transformers writes it, with the attention of the released models.
CONFIG = {
    "architectures": ["ReformerModelWithLMHead"],
    "attention_head_size": 64,
    "attn_layers": ["local", "lsh"] * 4,
    "axial_pos_embds_dim": [64, 192],
    "axial_pos_shape": [8, 16],
    "feed_forward_size": 2048,
    "hidden_dropout_prob": 0.0,
    "hidden_size": 256,
    "is_decoder": True,
    "local_attention_probs_dropout_prob": 0.0,
    "local_attn_chunk_length": 16,
    "lsh_attn_chunk_length": 16,
    "max_position_embeddings": 128,
    "model_type": "reformer",
    "num_attention_heads": 4,
    "num_buckets": 8,
    "vocab_size": 258,
}
# The released models' ids of bytes are two higher.
TEXT = np.frombuffer(pathlib.Path(argparse.__file__).read_bytes(), np.uint8).astype("int32") + 2


def _snippets(rng, count, length):
    return np.stack([TEXT[start : start + length] for start in rng.integers(0, len(TEXT) - length, count)])


def _checkpoint(folder):
    """The folder of a language model that learnt a little of some text, in the format of transformers."""
    model = ReformerCausalLM(**huggingface_config.model_arguments(CONFIG, ReformerCausalLM))
    model.compile(keras.optimizers.Adam(1e-3), jit_compile=False)
    model.fit(_snippets(np.random.default_rng(0), 320, LENGTH + 1), batch_size=16, verbose=0)
    tensors = {}
    for name, target in weight_targets(model, ["reformer."]).items():
        value = np.asarray(target.variable).reshape([target.shape[axis] for axis in target.axes])
        tensors[name] = np.ascontiguousarray(value.transpose(np.argsort(target.axes)))
    (folder / "config.json").write_text(json.dumps(CONFIG))
    safetensors_numpy.save_file(tensors, folder / "model.safetensors")
    return model


def _data(rng, count):
    """Text after one of two marks, which is the label; no other token says which."""
    ids, labels = _snippets(rng, count, LENGTH), rng.integers(0, 2, count)
    ids[:, 0] = 200 + labels
    return ids, labels


def _train(model):
    """Trains for one epoch, and returns the accuracy on other data."""
    rng, loss = np.random.default_rng(1), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"], jit_compile=False)
    model.fit(*_data(rng, 2400), batch_size=16, verbose=0)
    return model.evaluate(*_data(rng, 256), verbose=0, return_dict=True)["accuracy"]


def _made(folder):
    return ReformerClassifier(backbone=from_huggingface(folder).backbone, num_classes=2, pooling="last")


@pytest.mark.slow
def test_rank_8_learns_what_a_head_alone_does_not(tmp_path):
    language_model, ids = _checkpoint(tmp_path), _data(np.random.default_rng(2), 16)[0]
    np.testing.assert_allclose(from_huggingface(tmp_path)(ids), language_model(ids), atol=1e-5)

    frozen = _made(tmp_path)
    frozen.backbone.trainable = False
    assert _train(frozen) < 0.7

    model = _made(tmp_path)
    model.train_adapters(RANK, lora_alpha=64)
    trained = sum(np.prod(variable.shape) for variable in model.trainable_variables)
    assert trained < 0.02 * model.count_params()
    assert _train(model) > 0.95

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    logits = model(ids)
    np.testing.assert_array_equal(loaded(ids), logits)
    assert [v.name for v in loaded.trainable_variables] == [v.name for v in model.trainable_variables]

    exported = tf.saved_model.load(export_saved_model(model, tmp_path / "export"))
    found = exported.signatures["predict"](ids=tf.constant(ids))["logits"]
    np.testing.assert_allclose(tf.nn.log_softmax(found), tf.nn.log_softmax(logits), atol=1e-5)
