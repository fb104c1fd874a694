"""Published weights as runs: the commands on them, further training, and refusals."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from ml_collections import ConfigDict

from reformer_tf import models
from tests.trainer import runs
from tests.trainer.test_commands import _finish, _start
from trainer import config as configs
from trainer import exits
from trainer.config import read_config
from trainer.convert import convert
from trainer.data import tokenizers
from trainer.model import load_model
from trainer.storage.workdir import Workdir

GOLDEN = pathlib.Path(__file__).parents[1] / "pretrained" / "golden"


def _model(vocabulary_size=258, seed=0):
    """Makes a model like `from_huggingface` does, with weights that differ from initial ones."""
    window = {"window": "chunk", "wrap": True, "length_multiple": 16, "exact_length": 8}
    model = models.ReformerCausalLM(
        vocabulary_size,
        64,
        2,
        16,
        2,
        8,
        24,
        ["local", "lsh"],
        chunk_length=16,
        local_chunk_length=8,
        num_hashes=2,
        positions="learned",
        tie_embeddings=False,
        combine_streams="concatenate",
        embedding_scale=1.0,
        activation="quick_gelu",
        attention_options={"lsh": window, "local": {**window, "exact_length": 8}},
        seed=seed,
    )
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        variable.assign(variable + 0.1 * rng.normal(size=variable.shape))
    for variable in model.non_trainable_variables:
        if variable.name == "rotations":
            variable.assign(rng.normal(size=variable.shape))
    return model


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return runs.write_corpus(tmp_path_factory.mktemp("data") / "corpus")


def test_a_run_has_the_weights_and_rotations_of_the_model(tmp_path):
    model = _model()
    convert(model, tmp_path)
    loaded, step = load_model(read_config(Workdir(tmp_path).config), Workdir(tmp_path))
    assert step == 0
    ids = np.random.default_rng(0).integers(0, 258, [2, 50]).astype(np.int32)
    np.testing.assert_array_equal(loaded(ids), model(ids))
    assert {**loaded.get_config(), "name": model.name} == model.get_config()


def test_further_training(corpus, tmp_path):
    convert(_model(), tmp_path)
    config = read_config(Workdir(tmp_path).config)
    config.data.name, config.data.path, config.data.validation_fraction = "text", str(corpus), 0.2
    config.train.steps, config.train.checkpoint_every, config.train.log_every = 6, 3, 1
    # Only the model is fixed.
    config.train.batch_size, config.train.sequence_length, config.train.seed = 4, 32, 5
    config.optimizer.name, config.optimizer.learning_rate, config.optimizer.warmup_steps = "adafactor", 1e-2, 0
    assert runs.run(config, tmp_path) == exits.DONE
    losses = [line["loss"] for line in runs.lines(tmp_path) if line["split"] == "train"]
    assert len(losses) == 6
    assert losses[-1] < losses[0]
    assert Workdir(tmp_path).checkpoints().steps() == [0, 3, 6]
    # From then on it is a run like any other.
    config.train.seed = 6
    with pytest.raises(ValueError, match=r"config.train.seed was 5 and is 6"):
        runs.run(config, tmp_path)


def test_another_model_is_refused_from_the_beginning(tmp_path):
    convert(_model(), tmp_path)
    config = read_config(Workdir(tmp_path).config)
    config.model.num_layers = 4
    with pytest.raises(ValueError, match=r"config.model.num_layers was 2 and is 4"):
        runs.run(config, tmp_path)
    config = read_config(Workdir(tmp_path).config)
    config.data.tokens = "bytes"
    with pytest.raises(ValueError, match=r"config.data.tokens was 'shifted_bytes' and is 'bytes'"):
        runs.run(config, tmp_path)


@pytest.mark.parametrize(("size", "tokenizer"), [(257, "bytes"), (258, "shifted_bytes"), (300, "bytes")])
def test_the_tokenizer_follows_the_number_of_ids(size, tokenizer, tmp_path):
    assert convert(_model(size), tmp_path).data.tokens == tokenizer


def test_a_tokenizer_may_be_named(tmp_path):
    assert convert(_model(258), tmp_path, "bytes").data.tokens == "bytes"


def test_what_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"at least 257 ids.* reformer_tf.pretrained.* vocabulary_size=256"):
        convert(_model(256), tmp_path)
    with pytest.raises(ValueError, match=r"must be at least 258 \(the ids of `config.data.tokens`, 'shifted_bytes'\)"):
        convert(_model(257), tmp_path, "shifted_bytes")
    other = models.ReformerMaskedLM(258, 64, 1, 16, 2, 8, 24, ["local"])
    with pytest.raises(ValueError, match=r"use other models through .*from_huggingface. Received: a ReformerMaskedLM"):
        convert(other, tmp_path)
    broken = _model()
    broken.trainable_variables[1].assign(broken.trainable_variables[1] * np.nan)
    with pytest.raises(
        ValueError, match=r"`source` must hold weights that are finite. Received: 1 of \d+ arrays are not"
    ):
        convert(broken, tmp_path)
    assert not list(tmp_path.iterdir())
    convert(_model(), tmp_path)
    with pytest.raises(ValueError, match=r"`workdir` must be a folder without a run. Received: .* has a config.json"):
        convert(_model(), tmp_path)


@pytest.mark.slow
def test_the_commands(corpus, tmp_path):
    """Runs every command on Hugging Face weights from a golden file with more ids."""
    source, workdir = _source(tmp_path / "source"), tmp_path / "run"
    code, out, err = _finish(_start("convert", "--from=huggingface", f"--source={source}", f"--workdir={workdir}"))
    assert code == exits.DONE, err
    assert "258 ids of which text uses shifted_bytes" in out
    data = ["--config.data.name=text", f"--config.data.path={corpus}", "--config.data.validation_fraction=0.2"]
    started = [
        _start("evaluate", f"--workdir={workdir}", *data, "--config.model.num_hashes=4"),
        _start("generate", f"--workdir={workdir}", "--prompt=abc", "--tokens=5"),
        _start("export", f"--workdir={workdir}", f"--output={tmp_path / 'export'}"),
    ]
    (code, evaluated, err), (other_code, generated, other_err), (last_code, _, last_err) = map(_finish, started)
    assert code == exits.DONE, err
    numbers = json.loads(evaluated.splitlines()[-1])
    assert numbers["step"] == 0
    assert numbers["bytes"] > 0
    assert 5 < numbers["bits_per_byte"] < 13
    assert other_code == exits.DONE, other_err
    assert generated.startswith("abc")
    assert "A layer keeps no cache: each new token takes a pass over the whole text so far" in other_err
    assert last_code == exits.DONE, last_err
    exported = tf.saved_model.load(str(tmp_path / "export" / "1"))
    model, _ = load_model(read_config(Workdir(workdir).config), Workdir(workdir))
    for length in (7, 40, 64):
        ids = np.random.default_rng(length).integers(0, 258, [2, length]).astype(np.int32)
        np.testing.assert_allclose(
            exported.signatures["predict"](ids=tf.constant(ids))["logits"], model(ids), atol=1e-5
        )
    # Without `--config`, training goes on with the saved config.
    code, out, err = _finish(_start("task", f"--workdir={workdir}", *data, "--config.train.steps=2"))
    assert code == exits.DONE, err
    assert "step 2/2" in out


def _source(folder):
    """Makes a Hugging Face checkpoint with 258 ids from the golden one with 12."""
    from safetensors import numpy as safetensors_numpy

    folder.mkdir()
    with np.load(GOLDEN / "causal.npz") as file:
        config = json.loads(file["config"].tobytes())
        tensors = {key.removeprefix("tensors/"): file[key] for key in file.files if key.startswith("tensors/")}
    for name in ("reformer.embeddings.word_embeddings.weight", "lm_head.decoder.weight", "lm_head.bias"):
        tensors[name] = np.concatenate([tensors[name]] * 22)[:258]
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": 258}))
    safetensors_numpy.save_file(tensors, folder / "model.safetensors")
    return folder


def test_a_conversion_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    def full_disk(config, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(configs, "write_config", full_disk)
    with pytest.raises(OSError, match="No space left"):
        convert(_model(), tmp_path / "a" / "run")
    assert not list(tmp_path.iterdir())


def test_a_folder_with_checkpoints_is_one_with_a_run(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "step-00000007.safetensors").touch()
    with pytest.raises(ValueError, match=r"`workdir` must be a folder without a run. Received: .* has checkpoints"):
        convert(_model(), tmp_path)


def test_configs_of_runs_that_are_older_than_a_field(tmp_path):
    convert(_model(257), tmp_path)
    path = Workdir(tmp_path).config
    fields = json.loads(path.read_text())
    del fields["data"]["tokens"]
    path.write_text(json.dumps(fields))
    assert read_config(path).data.tokens == "bytes"
    assert tokenizers.from_config(ConfigDict(fields["data"])) is tokenizers.BYTES
