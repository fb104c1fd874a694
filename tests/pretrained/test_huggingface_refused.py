"""Checkpoints of transformers that cannot be loaded, and the messages for them."""

import json
import struct
import sys
import zipfile

import numpy as np
import pytest

from reformer_tf.pretrained import from_huggingface
from tests.pretrained import golden_files

HEAD = "lm_head.decoder.weight"
EMBEDDING = "reformer.embeddings.word_embeddings.weight"
QUERY = "reformer.encoder.layers.1.attention.self_attention.query_key.weight"


@pytest.fixture(scope="module")
def golden():
    return {name: golden_files.read(name) for name in golden_files.NAMES}


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
    golden_files.write(tmp_path, golden["causal"])
    with pytest.raises(ValueError, match=message):
        from_huggingface(tmp_path, rotations)


def test_more_columns_than_the_longest_length_takes_are_refused(golden, tmp_path):
    golden_files.write(tmp_path, golden["by_length"])
    with pytest.raises(ValueError, match=r"and \d+, or fewer since num_buckets is not set. Received"):
        from_huggingface(tmp_path, {0: np.zeros((2, 4, 4, 99))})


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
        # A tied head, with the table of the embedding, would have half the width that it needs.
        ({HEAD: np.zeros([12, 8], np.float32)}, rf"{HEAD} must have the shape \[12, 16\] and has \[12, 8\]"),
    ],
)
def test_tensors_that_do_not_fit(golden, change, message, tmp_path):
    tensors = {name: value for name, value in {**golden["causal"]["tensors"], **change}.items() if value is not None}
    golden_files.write(tmp_path, golden["causal"], tensors=tensors)
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
        ({"layer_norm_eps": float("inf")}, r"layer_norm_eps must be positive. Received: layer_norm_eps=inf"),
        ({"attn_layers": [["lsh"]]}, r"attn_layers must be a list of"),
        ({"architectures": 5}, r"architectures must be one of .* Received: architectures=5"),
        ({"architectures": [["x"]]}, r"architectures must be one of .* Received: architectures=\[\['x'\]\]"),
        ({"hidden_act": ["relu"]}, r"hidden_act must be one of"),
        # A model of these sizes would take more memory than there is.
        ({"vocab_size": 10**15}, rf"{EMBEDDING} must have the shape \[1{15 * '0'}, 8\] and has \[12, 8\]"),
        ({"feed_forward_size": 10**15}, r"feed_forward.dense.dense.weight must have the shape \[10{15}, 8\] and has"),
        ({"attention_head_size": 10**15}, r"self_attention.value.weight must have the shape \[20{15}, 8\] and has"),
        ({"axial_pos_shape": [10**15, 8]}, r"position_embeddings.weights.0 must have the shape \[10{15}, 1, 2\] and"),
        ({"num_hashes": 10**9}, r"at most 134,217,728 numbers for its rotations. Received: .* with num_hashes=10{9}"),
        (
            {"num_buckets": 2**40},
            r"at most 134,217,728 numbers for its rotations. Received: .*num_buckets=1099511627776",
        ),
        ({"num_buckets": [2**40, 2]}, r"at most 134,217,728 numbers for its rotations"),
    ],
)
def test_configs_that_cannot_be_honoured(golden, fields, message, tmp_path):
    golden_files.write(tmp_path, golden["causal"], **fields)
    with pytest.raises(ValueError, match=message):
        from_huggingface(tmp_path)


def test_a_finder_of_spans_has_two_labels(golden, tmp_path):
    golden_files.write(tmp_path, golden["questions"], id2label={"0": "a", "1": "b", "2": "c"})
    with pytest.raises(ValueError, match=r"num_labels must be 2, start and end, .* Received: num_labels=3"):
        from_huggingface(tmp_path)


def test_missing_and_broken_files(golden, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"must be a folder with config.json. Received: .*nowhere, which is no"):
        from_huggingface(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"must hold config.json. Received: .* which holds nothing"):
        from_huggingface(tmp_path)
    golden_files.write(tmp_path, golden["causal"])
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


@pytest.mark.parametrize("content", ["[" * 100_000, '{"a":' * 100_000])
def test_deep_json(golden, content, tmp_path):
    golden_files.write(tmp_path, golden["causal"])
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"config.json must be JSON"):
        from_huggingface(tmp_path)


@pytest.mark.parametrize(
    "name", ["../model.safetensors", "/model.safetensors", "..", "", "a/model.safetensors", "a\0b", 5, None]
)
def test_an_index_names_only_files_of_its_folder(golden, name, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    golden_files.write(folder, golden["causal"])
    (folder / "model.safetensors").rename(tmp_path / "model.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {HEAD: name}}))
    message = r"The weight_map of model.safetensors.index.json must name files of the same folder. Received: .* with"
    with pytest.raises(ValueError, match=message):
        from_huggingface(folder)


def test_a_link_in_the_folder_is_followed(golden, tmp_path):
    """As in the cache of Hugging Face, where a folder holds links to files of another one."""
    folder = tmp_path / "folder"
    folder.mkdir()
    golden_files.write(folder, golden["causal"])
    (folder / "model.safetensors").rename(tmp_path / "blob")
    (folder / "shard.safetensors").symlink_to(tmp_path / "blob")
    names = dict.fromkeys(golden["causal"]["tensors"], "shard.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    from_huggingface(folder)


@pytest.mark.parametrize(
    "header",
    [
        {"a": {"dtype": "F32", "shape": [2**38], "data_offsets": [0, 2**40]}},
        {"a": {"dtype": "F32", "shape": [2**38], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [2**63, 2**63], "data_offsets": [0, 4]}},
    ],
)
def test_headers_that_declare_more_than_the_file_has(golden, header, tmp_path):
    golden_files.write(tmp_path, golden["causal"])
    content = json.dumps(header).encode()
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(content)) + content + bytes(4))
    with pytest.raises(ValueError, match=r"model.safetensors must be a safetensors file"):
        from_huggingface(tmp_path)


def test_a_header_that_is_longer_than_the_file(golden, tmp_path):
    golden_files.write(tmp_path, golden["causal"])
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", 2**60) + b"{}")
    with pytest.raises(ValueError, match=r"model.safetensors must be a safetensors file"):
        from_huggingface(tmp_path)


def test_a_compressed_file_of_torch(golden, tmp_path):
    golden_files.write(tmp_path, golden["causal"])
    (tmp_path / "model.safetensors").unlink()
    with zipfile.ZipFile(tmp_path / "pytorch_model.bin", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("data/0", bytes(1 << 20))
    with pytest.raises(
        ValueError, match=r"pytorch_model.bin must not unpack to more than its size. Received: .*1,048,576"
    ):
        from_huggingface(tmp_path)
