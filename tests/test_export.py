"""A SavedModel computes what the model computes, for any batch and length, and appears as a whole."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.export import export_saved_model
from reformer_tf.models import ReformerCausalLM


@pytest.fixture(scope="module")
def model():
    model = ReformerCausalLM(257, 128, 2, 16, 2, 8, 32, ["local", "lsh"], chunk_length=8, num_hashes=2)
    rng = np.random.default_rng(0)
    for weight in model.trainable_weights:
        weight.assign(weight.numpy() + 0.1 * rng.normal(size=weight.shape))
    return model


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    return export_saved_model(model, tmp_path_factory.mktemp("export") / "models")


@pytest.fixture(scope="module")
def loaded(exported):
    return tf.saved_model.load(exported)


@pytest.fixture(scope="module")
def call(model):
    return tf.function(model, input_signature=[tf.TensorSpec([None, None], tf.int32)])


@pytest.mark.parametrize("shape", [(1, 1), (3, 70), (2, 128)])
def test_logits(call, loaded, shape):
    ids = np.random.default_rng(1).integers(0, 257, shape).astype(np.int32)
    for name in ("predict", "serving_default"):
        outputs = loaded.signatures[name](ids=tf.constant(ids))
        assert list(outputs) == ["logits"]
        assert outputs["logits"].dtype == tf.float32
        np.testing.assert_allclose(outputs["logits"], call(ids), atol=1e-5)


def test_signature_and_size(model, exported, loaded):
    assert sorted(loaded.signatures) == ["predict", "serving_default"]
    (spec,) = loaded.signatures["predict"].structured_input_signature[1].values()
    assert (spec.name, spec.dtype, spec.shape.as_list()) == ("ids", tf.int32, [None, None])
    size = sum(path.stat().st_size for path in exported.rglob("*") if path.is_file())
    assert size < 4 * model.count_params() + 10 * 2**20


def test_the_next_version_is_one_higher(tmp_path):
    inputs = keras.Input([None], dtype="int32")
    small = keras.Model(inputs, keras.layers.Embedding(5, 5)(inputs))
    (tmp_path / "7").mkdir()
    (tmp_path / "notes").mkdir()
    assert export_saved_model(small, tmp_path) == tmp_path / "8"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["7", "8", "notes"]


def test_a_failed_export_leaves_nothing(tmp_path, monkeypatch):
    def full_disk(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tf.saved_model, "save", full_disk)
    inputs = keras.Input([None], dtype="int32")
    small = keras.Model(inputs, keras.layers.Embedding(5, 5)(inputs))
    with pytest.raises(OSError, match="No space left"):
        export_saved_model(small, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_something_that_is_no_model(tmp_path):
    with pytest.raises(ValueError, match="`model` must be a Keras model. Received: str"):
        export_saved_model("model.keras", tmp_path / "models")
    assert not (tmp_path / "models").exists()
