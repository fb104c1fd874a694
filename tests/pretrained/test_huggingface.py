"""Loaded models against what transformers gave when the golden files were made; and what cannot be loaded."""

import json
import pathlib
import sys

import keras
import numpy as np
import pytest
from safetensors import numpy as safetensors_numpy

from reformer_tf import models
from reformer_tf.ops import replay
from reformer_tf.pretrained import from_huggingface, huggingface
from tests.pretrained import comparing

FOLDER = pathlib.Path(__file__).with_name("golden")
NAMES = ("base", "by_length", "causal", "classifier", "masked_lm", "questions")
RUNS = ("64", "64_masked", "53")
TOLERANCE = 2e-4


@pytest.fixture(scope="module")
def golden():
    """The content of the golden files, as nested dicts."""

    def read(name):
        content = {}
        with np.load(FOLDER / f"{name}.npz") as file:
            for key in file.files:
                *path, last = key.split("/")
                part = content
                for step in path:
                    part = part.setdefault(step, {})
                part[last] = file[key]
        return content

    return {name: read(name) for name in NAMES}


def _write(folder, content, without=(), tensors=None, **fields):
    """Writes a checkpoint with other fields and tensors, and returns its folder."""
    config = {**json.loads(content["config"].tobytes()), **fields}
    config = {name: value for name, value in config.items() if name not in without}
    (folder / "config.json").write_text(json.dumps(config))
    chosen = {name: value for name, value in (tensors or content["tensors"]).items() if name not in without}
    safetensors_numpy.save_file(chosen, folder / "model.safetensors")
    return folder


def _rotations(run):
    return {int(index): value for index, value in run.get("rotations", {}).items()}


def _buckets(run):
    found = run.get("buckets", {})
    return [found[index].astype(np.int32) for index in sorted(found, key=int)]


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("name", NAMES)
def test_outputs(golden, name, run, tmp_path):
    content, given = golden[name], golden[name][run]
    # The file of base holds all; rotations are by index of the layer, and buckets by place among LSH layers.
    kinds = json.loads(content["config"].tobytes())["attn_layers"]
    assert sorted(_rotations(given)) == [index for index, kind in enumerate(kinds) if kind == "lsh"]
    model = from_huggingface(_write(tmp_path, content), _rotations(given), head_bias=False)
    mask = given["mask"] if run.endswith("masked") else None
    comparing.assert_same_outputs(
        model, given["ids"], mask, given["outputs"], _buckets(given), TOLERANCE, factors=[2, 4]
    )


@pytest.mark.parametrize("reversible", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_gradients(golden, name, reversible, tmp_path):
    given = golden[name]["64_masked"]
    model = from_huggingface(_write(tmp_path, golden[name]), _rotations(given), head_bias=False, reversible=reversible)
    with replay.replaying(_buckets(given)):
        found = comparing.gradients(model, given["ids"], given["mask"], given["weights"])
    comparing.assert_same_gradients(found, given["gradients"], huggingface.places(model, given["gradients"]))


def test_which_model(golden, tmp_path):
    expected = {
        "base": models.ReformerBackbone,
        "causal": models.ReformerCausalLM,
        "masked_lm": models.ReformerMaskedLM,
        "classifier": models.ReformerClassifier,
        "questions": models.ReformerSpanPredictor,
    }
    for name, kind in expected.items():
        assert type(from_huggingface(_write(tmp_path, golden[name]))) is kind
        # By the names of tensors, where the config does not say.
        assert type(from_huggingface(_write(tmp_path, golden[name], without=["architectures"]))) is kind


def test_the_bias_of_the_head(golden, tmp_path):
    content, ids = golden["causal"], golden["causal"]["64"]["ids"]
    bias = content["tensors"]["lm_head.bias"]
    _write(tmp_path, content)
    with_bias, without = (from_huggingface(tmp_path, head_bias=value) for value in (True, False))
    np.testing.assert_allclose(with_bias(ids), without(ids) + bias, atol=1e-5)
    assert len(with_bias.trainable_variables) == len(without.trainable_variables) + 1
    # Files of before version 5 hold it under two names.
    twice = {**content["tensors"], "lm_head.decoder.bias": bias}
    np.testing.assert_array_equal(from_huggingface(_write(tmp_path, content, tensors=twice))(ids), with_bias(ids))
    alone = {name: value for name, value in twice.items() if name != "lm_head.bias"}
    np.testing.assert_array_equal(from_huggingface(_write(tmp_path, content, tensors=alone))(ids), with_bias(ids))
    differ = {**twice, "lm_head.decoder.bias": bias + 1}
    with pytest.raises(ValueError, match=r"lm_head.bias and lm_head.decoder.bias must be equal"):
        from_huggingface(_write(tmp_path, content, tensors=differ))


def test_buffers_of_old_releases_are_passed_over(golden, tmp_path):
    content = golden["causal"]
    buffers = {
        "reformer.encoder.layers.1.attention.self_attention.self_mask_value_float16": np.float16(-1e3),
        "reformer.encoder.layers.1.attention.self_attention.mask_value_float32": np.float32(-1e9),
        "reformer.embeddings.position_ids": np.arange(64),
    }
    tensors = {**content["tensors"], **{name: np.asarray(value) for name, value in buffers.items()}}
    from_huggingface(_write(tmp_path, content, tensors=tensors))


def test_half_precision_becomes_float32(golden, tmp_path):
    content = golden["causal"]
    half = {name: value.astype(np.float16) for name, value in content["tensors"].items()}
    model = from_huggingface(_write(tmp_path, content, tensors=half))
    whole = {name: value.astype(np.float32) for name, value in half.items()}
    other = from_huggingface(_write(tmp_path, content, tensors=whole))
    for one, two in zip(model.weights, other.weights, strict=True):
        assert one.dtype == two.dtype
        np.testing.assert_array_equal(one, two)


def test_shards(golden, tmp_path):
    content = golden["base"]
    _write(tmp_path, content)
    (tmp_path / "model.safetensors").unlink()
    shards = {name: f"model-{index % 2}.safetensors" for index, name in enumerate(sorted(content["tensors"]))}
    for file in set(shards.values()):
        part = {name: content["tensors"][name] for name in shards if shards[name] == file}
        safetensors_numpy.save_file(part, tmp_path / file)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    run = content["64"]
    model = from_huggingface(tmp_path, _rotations(run))
    comparing.assert_same_outputs(model, run["ids"], None, run["outputs"], _buckets(run), TOLERANCE, [2])
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
    model = from_huggingface(_write(tmp_path, content, hash_seed=None, **rates))
    assert model.backbone.config["dropout"] == 0.1
    branches = model.backbone.get_layer("stack").branches
    assert [branch.layer.dropout for branch in branches[::2]] == [0.3, 0.2, 0.2]
    assert branches[2].layer.redraw_rotations
    # Rotations that are given or seeded hold in training too.
    assert not from_huggingface(tmp_path, _rotations(content["64"])).backbone.config["redraw_rotations"]
    assert not from_huggingface(_write(tmp_path, content, hash_seed=3)).backbone.config["redraw_rotations"]
    content = golden["classifier"]
    model = from_huggingface(_write(tmp_path, content, classifier_dropout=0.25, **rates))
    assert model.backbone.config["dropout"] == 0.1
    assert model.hidden_dropout.rate == model.input_dropout.rate == 0.25
    model = from_huggingface(_write(tmp_path, content, classifier_dropout=None, **rates))
    assert model.hidden_dropout.rate == 0.1


def test_a_loaded_model_is_saved_and_loaded_by_keras(golden, tmp_path):
    run = golden["masked_lm"]["53"]
    model = from_huggingface(
        _write(tmp_path, golden["masked_lm"], hidden_act="quick_gelu"), _rotations(run), head_bias=False
    )
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(run["ids"]), model(run["ids"]))


def test_fewer_columns_than_the_longest_length_takes_are_the_first_ones(golden, tmp_path):
    rotations = _rotations(golden["by_length"]["64"])
    model = from_huggingface(_write(tmp_path, golden["by_length"], max_position_embeddings=64), rotations)
    # The same model for longer sequences, which take more buckets.
    longer = from_huggingface(
        _write(tmp_path, _longer(golden["by_length"]), max_position_embeddings=512, axial_pos_shape=[32, 16]), rotations
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


@pytest.mark.parametrize(
    ("rotations", "message"),
    [
        ({0: np.zeros((2, 4, 2, 3))}, r"those are \[1, 2\]. Received: 0"),
        ({3: np.zeros((2, 4, 2, 3))}, r"rotations must be for LSH layers .* Received: 3"),
        ({"1": np.zeros((2, 4, 2, 3))}, r"rotations must be for LSH layers .* Received: '1'"),
        (
            {1: np.zeros((2, 4, 2, 2))},
            r"rotations\[1\] must have the shape .* = \[2, 4, 2\] and 3. Received: shape \[2, ",
        ),
        ({2: np.zeros((2, 4, 2, 4))}, r"rotations\[2\] must have the shape"),
        ({2: np.zeros((4, 2, 3))}, r"rotations\[2\] must have the shape"),
        ({2: np.full((2, 4, 2, 3), np.nan)}, r"rotations\[2\] must be finite"),
    ],
)
def test_rotations_that_do_not_fit(golden, rotations, message, tmp_path):
    _write(tmp_path, golden["causal"])
    with pytest.raises(ValueError, match=message):
        from_huggingface(tmp_path, rotations)


def test_more_columns_than_the_longest_length_takes_are_refused(golden, tmp_path):
    _write(tmp_path, golden["by_length"])
    with pytest.raises(ValueError, match=r"and \d+, or fewer since num_buckets is not set. Received"):
        from_huggingface(tmp_path, {0: np.zeros((2, 4, 4, 99))})


HEAD = "lm_head.decoder.weight"
QUERY = "reformer.encoder.layers.1.attention.self_attention.query_key.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({QUERY: None}, rf"{QUERY} \[8, 8\] is missing, so that .*lsh_attention_1.*query_key gets no weight"),
        ({HEAD: None}, rf"{HEAD} \[12, 16\] is missing"),
        ({"lm_head.bias": None}, r"lm_head.bias \[12\] is missing"),
        ({"classifier.dense.bias": np.zeros(3, np.float32)}, r"classifier.dense.bias \[3\] has no place in the model"),
        (
            {"reformer.encoder.layers.3.feed_forward.layer_norm.bias": np.zeros(8, np.float32)},
            r"layers.3.feed_forward.layer_norm.bias \[8\] has no place",
        ),
        ({QUERY: np.zeros([8, 9], np.float32)}, rf"{QUERY} must have the shape \[8, 8\] and has \[8, 9\]"),
        # A head with the table of the embedding, as a tied one would be, has half the width that it needs.
        ({HEAD: np.zeros([12, 8], np.float32)}, rf"{HEAD} must have the shape \[12, 16\] and has \[12, 8\]"),
    ],
)
def test_tensors_that_do_not_fit(golden, change, message, tmp_path):
    tensors = {name: value for name, value in {**golden["causal"]["tensors"], **change}.items() if value is not None}
    _write(tmp_path, golden["causal"], tensors=tensors)
    with pytest.raises(ValueError, match=message):
        from_huggingface(tmp_path)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model_type": "bert"}, r"model_type must be 'reformer'. Received: model_type='bert'"),
        ({"architectures": ["ReformerForPoetry"]}, r"architectures must be one of .*ReformerForPoetry"),
        (
            {"attn_layers": ["local", "full", "lsh"]},
            r'attn_layers must be a list of "local" and "lsh". Received: .*full',
        ),
        ({"attn_layers": []}, r"attn_layers must be a list"),
        (
            {"hidden_act": "prelu"},
            r"hidden_act must be one of .* Received: hidden_act='prelu' \(.* weights of its own\)",
        ),
        ({"hidden_act": "swoosh"}, r"hidden_act must be one of .* Received: hidden_act='swoosh'"),
        ({"num_hashes": 0}, r"num_hashes must be a positive integer. Received: num_hashes=0"),
        ({"num_buckets": 7}, r"num_buckets must be a positive even integer"),
        ({"hidden_size": "8"}, r"hidden_size must be a positive integer. Received: hidden_size='8'"),
        ({"lsh_attn_chunk_length": None}, r"lsh_attn_chunk_length must be a positive integer. Received: .*None"),
        ({"lsh_num_chunks_before": -1}, r"lsh_num_chunks_before must .*negative. Received: lsh_num_chunks_before=-1"),
        ({"local_num_chunks_after": 0.5}, r"local_num_chunks_after must be an integer"),
        ({"axial_pos_embds_dim": [4, 6]}, r"axial_pos_embds_dim must sum to hidden_size"),
        ({"axial_pos_shape": [64]}, r"axial_pos_shape and axial_pos_embds_dim must be lists of one length"),
        ({"layer_norm_eps": -1.0}, r"layer_norm_eps must be positive"),
        ({"hidden_dropout_prob": 1.5}, r"hidden_dropout_prob must be a number in \[0, 1\)"),
        ({"is_decoder": False}, r"is_decoder must be True for ReformerCausalLM. Received: is_decoder=False"),
        ({"pruned_heads": {"0": [1]}}, r"pruned_heads must be empty or absent"),
    ],
)
def test_configs_that_cannot_be_honoured(golden, fields, message, tmp_path):
    _write(tmp_path, golden["causal"], **fields)
    with pytest.raises(ValueError, match=message):
        from_huggingface(tmp_path)


def test_a_finder_of_spans_has_two_labels(golden, tmp_path):
    _write(tmp_path, golden["questions"], id2label={"0": "a", "1": "b", "2": "c"})
    with pytest.raises(ValueError, match=r"num_labels must be 2, start and end, .* Received: num_labels=3"):
        from_huggingface(tmp_path)


def test_missing_and_broken_files(golden, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"must be a folder with config.json. Received: .*nowhere, which is no"):
        from_huggingface(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"must hold config.json. Received: .* which holds nothing"):
        from_huggingface(tmp_path)
    _write(tmp_path, golden["causal"])
    (tmp_path / "model.safetensors").write_bytes(b"no safetensors")
    with pytest.raises(ValueError, match=r"model.safetensors must be a safetensors file"):
        from_huggingface(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"must hold model.safetensors or .*pytorch_model.bin.* which holds con"
    ):
        from_huggingface(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"no pickle")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "torch", None)
        with pytest.raises(ValueError, match=r"install torch to read it.* Received: .*pytorch_model.bin, and no torch"):
            from_huggingface(tmp_path)
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(ValueError, match=r"config.json must be a JSON object. Received: .*list"):
        from_huggingface(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config.json must be JSON"):
        from_huggingface(tmp_path)
