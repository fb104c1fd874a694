"""Loaded models against the results of transformers in the golden files."""

import json

import keras
import numpy as np
import pytest
from safetensors import numpy as safetensors_numpy

from reformer_tf import models
from reformer_tf.ops import replay
from reformer_tf.pretrained import from_huggingface, huggingface
from tests.pretrained import comparing, golden_files

RUNS = ("64", "64_masked", "53")
TOLERANCE = 2e-4


@pytest.fixture(scope="module")
def golden():
    return {name: golden_files.read(name) for name in golden_files.NAMES}


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("name", golden_files.NAMES)
def test_outputs(golden, name, run, tmp_path):
    content, original = golden[name], golden[name][run]
    # Rotations are by index among all layers, buckets by index among LSH layers.
    kinds = json.loads(content["config"].tobytes())["attn_layers"]
    assert sorted(golden_files.rotations(original)) == [index for index, kind in enumerate(kinds) if kind == "lsh"]
    model = from_huggingface(golden_files.write(tmp_path, content), golden_files.rotations(original), head_bias=False)
    mask = original["mask"] if run.endswith("masked") else None
    comparing.assert_same_outputs(
        model, original["ids"], mask, original["outputs"], golden_files.buckets(original), TOLERANCE, factors=[2, 4]
    )


@pytest.mark.parametrize("reversible", [True, False])
@pytest.mark.parametrize("name", golden_files.NAMES)
def test_gradients(golden, name, reversible, tmp_path):
    original = golden[name]["64_masked"]
    model = from_huggingface(
        golden_files.write(tmp_path, golden[name]),
        golden_files.rotations(original),
        head_bias=False,
        reversible=reversible,
    )
    with replay.replaying(golden_files.buckets(original)):
        found = comparing.gradients(model, original["ids"], original["mask"], original["weights"])
    comparing.assert_same_gradients(
        found, original["gradients"], huggingface.weight_targets(model, original["gradients"])
    )


def test_which_model(golden, tmp_path):
    expected = {
        "base": models.ReformerBackbone,
        "causal": models.ReformerCausalLM,
        "masked_lm": models.ReformerMaskedLM,
        "classifier": models.ReformerClassifier,
        "questions": models.ReformerSpanPredictor,
    }
    for name, kind in expected.items():
        assert type(from_huggingface(golden_files.write(tmp_path, golden[name]))) is kind
        # The class follows from the names of tensors, if the config has no architecture.
        assert type(from_huggingface(golden_files.write(tmp_path, golden[name], without=["architectures"]))) is kind


def test_the_bias_of_the_head(golden, tmp_path):
    content, ids = golden["causal"], golden["causal"]["64"]["ids"]
    bias = content["tensors"]["lm_head.bias"]
    golden_files.write(tmp_path, content)
    with_bias, without = (from_huggingface(tmp_path, head_bias=value) for value in (True, False))
    np.testing.assert_allclose(with_bias(ids), without(ids) + bias, atol=1e-5)
    assert len(with_bias.trainable_variables) == len(without.trainable_variables) + 1
    # Files from before version 5 hold it under two names.
    twice = {**content["tensors"], "lm_head.decoder.bias": bias}
    np.testing.assert_array_equal(
        from_huggingface(golden_files.write(tmp_path, content, tensors=twice))(ids), with_bias(ids)
    )
    one_name = {name: value for name, value in twice.items() if name != "lm_head.bias"}
    np.testing.assert_array_equal(
        from_huggingface(golden_files.write(tmp_path, content, tensors=one_name))(ids), with_bias(ids)
    )
    differ = {**twice, "lm_head.decoder.bias": bias + 1}
    with pytest.raises(ValueError, match=r"lm_head.bias and lm_head.decoder.bias must be equal"):
        from_huggingface(golden_files.write(tmp_path, content, tensors=differ))


def test_buffers_of_old_releases_are_passed_over(golden, tmp_path):
    content = golden["causal"]
    buffers = {
        "reformer.encoder.layers.1.attention.self_attention.self_mask_value_float16": np.float16(-1e3),
        "reformer.encoder.layers.1.attention.self_attention.mask_value_float32": np.float32(-1e9),
        "reformer.embeddings.position_ids": np.arange(64),
    }
    tensors = {**content["tensors"], **{name: np.asarray(value) for name, value in buffers.items()}}
    from_huggingface(golden_files.write(tmp_path, content, tensors=tensors))


def test_half_precision_becomes_float32(golden, tmp_path):
    content = golden["causal"]
    half = {name: value.astype(np.float16) for name, value in content["tensors"].items()}
    model = from_huggingface(golden_files.write(tmp_path, content, tensors=half))
    single_precision = {name: value.astype(np.float32) for name, value in half.items()}
    other = from_huggingface(golden_files.write(tmp_path, content, tensors=single_precision))
    for one, two in zip(model.weights, other.weights, strict=True):
        assert one.dtype == two.dtype
        np.testing.assert_array_equal(one, two)


def test_shards(golden, tmp_path):
    content = golden["base"]
    golden_files.write(tmp_path, content)
    (tmp_path / "model.safetensors").unlink()
    shards = {name: f"model-{index % 2}.safetensors" for index, name in enumerate(sorted(content["tensors"]))}
    for file in set(shards.values()):
        part = {name: content["tensors"][name] for name in shards if shards[name] == file}
        safetensors_numpy.save_file(part, tmp_path / file)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    run = content["64"]
    model = from_huggingface(tmp_path, golden_files.rotations(run))
    comparing.assert_same_outputs(model, run["ids"], None, run["outputs"], golden_files.buckets(run), TOLERANCE, [2])
    (tmp_path / "model-1.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"must hold model-1.safetensors. Received: .* which holds config.json"):
        from_huggingface(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(ValueError, match=r"must have a weight_map"):
        from_huggingface(tmp_path)


def test_dropout_and_training_follow_the_config(golden, tmp_path):
    rates = {
        "hidden_dropout_prob": 0.1,
        "lsh_attention_probs_dropout_prob": 0.2,
        "local_attention_probs_dropout_prob": 0.3,
    }
    content = golden["causal"]
    model = from_huggingface(golden_files.write(tmp_path, content, hash_seed=None, **rates))
    assert model.backbone.config["dropout"] == 0.1
    branches = model.backbone.get_layer("stack").branches
    assert [branch.layer.dropout for branch in branches[::2]] == [0.3, 0.2, 0.2]
    assert branches[2].layer.redraw_rotations
    # Rotations that are passed or seeded are used in training too.
    assert not from_huggingface(tmp_path, golden_files.rotations(content["64"])).backbone.config["redraw_rotations"]
    assert not from_huggingface(golden_files.write(tmp_path, content, hash_seed=3)).backbone.config["redraw_rotations"]
    content = golden["classifier"]
    model = from_huggingface(golden_files.write(tmp_path, content, classifier_dropout=0.25, **rates))
    assert model.backbone.config["dropout"] == 0.1
    assert model.hidden_dropout.rate == model.input_dropout.rate == 0.25
    model = from_huggingface(golden_files.write(tmp_path, content, classifier_dropout=None, **rates))
    assert model.hidden_dropout.rate == 0.1


def test_a_loaded_model_is_saved_and_loaded_by_keras(golden, tmp_path):
    run = golden["masked_lm"]["53"]
    model = from_huggingface(
        golden_files.write(tmp_path, golden["masked_lm"], hidden_act="quick_gelu"),
        golden_files.rotations(run),
        head_bias=False,
    )
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(run["ids"]), model(run["ids"]))


def test_fewer_columns_than_the_longest_length_takes_are_the_first_ones(golden, tmp_path):
    rotations = golden_files.rotations(golden["by_length"]["64"])
    model = from_huggingface(golden_files.write(tmp_path, golden["by_length"], max_position_embeddings=64), rotations)
    # The same model for longer sequences, which take more buckets.
    longer = from_huggingface(
        golden_files.write(
            tmp_path, _longer(golden["by_length"]), max_position_embeddings=512, axial_pos_shape=[32, 16]
        ),
        rotations,
    )
    stored = [[v for v in m.non_trainable_variables if v.name == "rotations"] for m in (model, longer)]
    assert stored[0][0].shape[-1] < stored[1][0].shape[-1]
    np.testing.assert_array_equal(stored[1][0][..., : stored[0][0].shape[-1]], stored[0][0])
    ids = golden["by_length"]["64"]["ids"]
    np.testing.assert_allclose(longer(ids), model(ids), atol=1e-5)


def _longer(content):
    """The same with positions for 512 tokens, the first 64 of them the same."""
    tensors = dict(content["tensors"])
    name = "reformer.embeddings.position_embeddings.weights.0"
    tensors[name] = np.concatenate([tensors[name]] * 8)
    return {**content, "tensors": tensors}
