"""The gradients of shorter versions of `configs/million_tokens.py` against unblocked ones of the same buckets."""

import keras
import numpy as np
import pytest
from tensorflow import stop_gradient as stop

from configs import million_tokens
from reformer_tf.layers import LSHSelfAttention
from reformer_tf.ops.execution import row_chunks
from tests.testing.unblocked import gradients
from tests.testing.unblocked import model as reference_model
from trainer.data import datasets
from trainer.model import build_model

LENGTH = 200


def _config(**options):
    config = million_tokens.get_config()
    config.train.precision = "float32"
    small = {
        "max_sequence_length": 256,
        "num_layers": 2,
        "hidden_dim": 32,
        "num_heads": 2,
        "key_dim": 16,
        "intermediate_dim": 64,
        "chunk_length": 16,
        "local_chunk_length": 16,
    }
    config.model.update({**small, **options})
    return config


def _ids():
    return np.random.default_rng(0).integers(0, 257, [1, LENGTH + 1])


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="the-config"),
        pytest.param({"attention_layers": ("lsh",), "num_layers": 1, "num_hashes": 2, "local_round": True}, id="lsh"),
        pytest.param({"tie_embeddings": True, "num_layers": 4}, id="tied", marks=pytest.mark.slow),
    ],
)
def test_gradients_equal_the_unblocked_ones(options, monkeypatch):
    monkeypatch.setattr(row_chunks, "rows_in_budget", lambda *_: 48)  # Several chunks.
    found = gradients.compare(build_model(_config(**options)), _ids(), "float64")
    assert 0 < found["gradient_error"] < 1e-5
    assert found["loss_error"] < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize(("length", "layers"), [(16384, 2), (65536, 12)])
def test_gradients_of_long_texts(length, layers):
    """At the second size, the largest error was 2.5e-6 of the largest gradient, and 1.7e-5 weight by weight."""
    config = million_tokens.get_config()
    config.train.precision = "float32"
    config.model.num_layers = layers
    documents = datasets.load_corpus(config.data).train
    examples = datasets.Examples(documents, length, config.data.layout, count=1)
    keras.utils.set_random_seed(0)
    model, stream = build_model(config), np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(variable.numpy() + 0.1 * stream.normal(size=variable.shape))
    found = gradients.compare(model, examples[0][0][None], "float64")
    assert found["gradient_error_of_largest"] < 5e-6
    assert found["gradient_error"] < 5e-5
    assert found["loss_error"] < 1e-6


def test_a_wrong_gradient_is_found(monkeypatch):
    attend = LSHSelfAttention.attend

    def wrong(self, query, *rest, **options):
        return attend(self, query / 2 + stop(query / 2), *rest, **options)

    monkeypatch.setattr(LSHSelfAttention, "attend", wrong)
    found = gradients.compare(build_model(_config()), _ids())
    assert found["loss_error"] < 1e-6
    assert found["gradient_error"] > 1e-3
    assert "lsh_attention" in found["worst_weight"]


def test_other_buckets_give_another_gradient():
    model = build_model(_config())
    one, other = (
        reference_model.loss_and_gradients(model, _ids(), [buckets.reshape([1, 2, 1, LENGTH])])
        for buckets in (np.zeros(2 * LENGTH, int), np.arange(2 * LENGTH) % 7)
    )
    assert abs(one[0] - other[0]) > 1e-6
    assert any(np.abs(a - b).max() > 1e-3 * np.abs(a).max() for a, b in zip(one[1], other[1], strict=True))


def test_other_options_are_refused():
    with pytest.raises(ValueError, match="model must have the options .* Received: {'dropout': 0.5}"):
        reference_model.loss_and_gradients(build_model(_config(dropout=0.5)), _ids(), [])
