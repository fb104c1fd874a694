"""Runs that begin with the weights of another one: what they take, what they say, and that they go on without it."""

import json
import shutil

import numpy as np
import pytest

from reformer_tf import models
from tests.trainer import runs
from tests.trainer.initialization import sources
from trainer import convert, exits
from trainer.results import exporting
from trainer.storage import checkpoint_file, named_variables
from trainer.storage.checkpoints import Checkpoints
from trainer.storage.workdir import Workdir
from trainer.training.run import Run


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return runs.write_corpus(tmp_path_factory.mktemp("data") / "corpus")


@pytest.fixture(scope="module")
def source_config(corpus):
    return runs.make_config(corpus, "lsh")


@pytest.fixture(scope="module")
def source(source_config, tmp_path_factory):
    """The folder of a run with checkpoints of steps 1, 2 and 3, the best of which is 2, and their arrays."""
    folder = tmp_path_factory.mktemp("source") / "pretrained"
    return folder, sources.write(source_config, folder)


@pytest.fixture
def config(corpus, source):
    config = runs.make_config(corpus, "lsh")
    config.model.seed = 5
    config.init_from = str(source[0])
    return config


def _begun(config, workdir):
    """The weights with which a run begins, and its description in checkpoints."""
    started = Run(config, workdir)
    try:
        return sources.weights(started.model), started._capture()[1]
    finally:
        started.close()


def _assert_taken(weights, arrays):
    for name, value in weights.items():
        if not named_variables.is_made_from_seed(name):
            np.testing.assert_array_equal(value, arrays[name], err_msg=name)


@pytest.mark.parametrize(("checkpoint", "step"), [("newest", 3), ("best", 2), ("1", 1)])
def test_the_weights_are_those_of_the_checkpoint(config, source, tmp_path, checkpoint, step, capsys):
    config.init_checkpoint = checkpoint
    weights, description = _begun(config, tmp_path / "new")
    _assert_taken(weights, source[1][step])
    file = source[0] / "checkpoints" / f"step-{step:08d}.safetensors"
    checksum = checkpoint_file.checksum(*checkpoint_file.read(file))
    assert checksum.encode() in file.read_bytes()
    assert description["begun_with"] == {"folder": "pretrained", "step": step, "sha256": checksum}
    assert description["step"] == 0
    chosen = f", the {checkpoint}" if step > 1 else ""
    assert f"Weights of step {step}{chosen}, in {source[0]}: 17 variables of 17 are taken" in capsys.readouterr().out


def test_rotations_are_those_of_the_new_seed(config, source, tmp_path):
    weights, _ = _begun(config, tmp_path / "new")
    config.init_from = ""
    expected, _ = _begun(config, tmp_path / "random")
    (name,) = [name for name in weights if name.endswith("rotations")]
    np.testing.assert_array_equal(weights[name], expected[name])
    assert not np.array_equal(weights[name], source[1][3][name])


def test_moving_averages_are_taken_where_the_run_uses_them(config, source_config, corpus, tmp_path):
    averaged = runs.make_config(corpus, "lsh")
    averaged.optimizer.ema_momentum = 0.5
    arrays = sources.write(averaged, tmp_path / "averaged", [(1, 1.0)])[1]
    averages = {name: value + 1 for name, value in arrays.items() if name.endswith("kernel")}
    saved = arrays | {f"average/{name.removeprefix('model/')}": value for name, value in averages.items()}
    Workdir(tmp_path / "averaged").checkpoints().save(2, saved, {"data": {}})
    config.init_from = str(tmp_path / "averaged")
    config.optimizer.ema_momentum = 0.9
    started = Run(config, tmp_path / "new")
    started.close()
    _assert_taken(sources.weights(started.model), arrays | averages)
    for average, weight in zip(started._optimizer.average.variables, started.model.trainable_variables, strict=True):
        np.testing.assert_array_equal(average, weight)


def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(config, source, tmp_path):
    shutil.copytree(source[0], tmp_path / "damaged")
    path = tmp_path / "damaged" / "checkpoints" / "step-00000003.safetensors"
    path.write_bytes(path.read_bytes()[:-9])
    config.init_from = str(tmp_path / "damaged")
    weights, description = _begun(config, tmp_path / "new")
    _assert_taken(weights, source[1][2])
    assert description["begun_with"]["step"] == 2


def test_what_convert_wrote(config, source_config, tmp_path):
    """The model has other sizes of windows, which no weight depends on."""
    arguments = {**source_config.model.to_dict(), "chunk_length": 16, "num_buckets": [2, 4]}
    model = models.ReformerCausalLM(**arguments)
    convert.convert(model, tmp_path / "converted")
    config.init_from = str(tmp_path / "converted")
    weights, description = _begun(config, tmp_path / "new")
    _assert_taken(weights, sources.weights(model))
    assert description["begun_with"]["step"] == 0
    assert json.loads((tmp_path / "new" / "config.json").read_text())["model"]["num_buckets"] == [2, 4]


@pytest.mark.slow  # The next test has the state that it goes on from; going on from a state is tested of all tasks.
def test_a_longer_run_goes_on_bit_for_bit_without_the_folder(config, source, tmp_path, capsys):
    """The bucket count and the grid of positions stay those of the source, also in a start that cannot read it."""
    shutil.copytree(source[0], tmp_path / "pretrained")
    config.init_from = str(tmp_path / "pretrained")
    config.init_positions = "tile"
    config.model.max_sequence_length = config.train.sequence_length = 128
    config.train.steps, config.train.eval_every = 4, -1
    programs = runs.Programs()
    assert programs.run(config, tmp_path / "undisturbed") == exits.DONE
    assert programs.run(config, tmp_path / "new", runs.StopAfter(2)) == exits.STOPPED
    model = json.loads((tmp_path / "new" / "config.json").read_text())["model"]
    assert (model["num_buckets"], model["axial_shape"], model["axial_dims"]) == (16, [16, 8], [8, 8])
    shutil.rmtree(tmp_path / "pretrained")
    capsys.readouterr()
    assert runs.run(config, tmp_path / "new") == exits.DONE
    assert "Weights of" not in capsys.readouterr().out
    runs.assert_same(tmp_path / "new", tmp_path / "undisturbed")
    _, description = Checkpoints(tmp_path / "new" / "checkpoints").newest()
    assert description["begun_with"]["step"] == 3
    card = exporting._card(description, config, Workdir(tmp_path / "new"))
    assert card["training"]["begun_with"] == description["begun_with"]


def test_a_run_that_was_stopped_at_once_goes_on_without_the_folder(config, source, tmp_path):
    """Its first checkpoint has the weights; what it followed stays, and what was asked for cannot change."""
    shutil.copytree(source[0], tmp_path / "pretrained")
    config.init_from = str(tmp_path / "pretrained")
    config.init_positions = "tile"
    config.model.max_sequence_length = 128
    assert runs.run(config, tmp_path / "new", runs.StopAfter(0)) == exits.STOPPED
    shutil.rmtree(tmp_path / "pretrained")
    weights, description = _begun(config, tmp_path / "new")
    tables = [name for name in weights if "position_embedding" in name]
    assert [weights[name].shape for name in tables] == [(16, 8), (8, 8)]
    np.testing.assert_array_equal(weights[tables[0]], np.tile(source[1][3][tables[0]], [2, 1]))
    assert description["begun_with"]["step"] == 3
    config.init_checkpoint = "best"
    with pytest.raises(ValueError, match="config.init_checkpoint was 'newest' and is 'best'"):
        Run(config, tmp_path / "new")


def test_a_dry_run_writes_nothing(config, source, tmp_path, capsys):
    before = {path: path.read_bytes() for path in source[0].rglob("*") if path.is_file()}
    started = Run(config, tmp_path / "new", dry=True)
    _assert_taken(sources.weights(started.model), source[1][3])
    assert "17 variables of 17 are taken" in capsys.readouterr().out
    assert not (tmp_path / "new").exists()
    assert {path: path.read_bytes() for path in source[0].rglob("*") if path.is_file()} == before


def test_what_does_not_fit_is_refused_or_left_out(config, source, tmp_path, capsys):
    config.model.intermediate_dim = 24
    with pytest.raises(
        ValueError, match=r"`config.init_from` must hold a backbone that fits .*inner_kernel is \[16, 24"
    ):
        Run(config, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    config.init_partial = True
    weights, _ = _begun(config, tmp_path / "new")
    fits = {name: value for name, value in weights.items() if value.shape == source[1][3][name].shape}
    assert len(weights) - len(fits) == 3
    _assert_taken(fits, source[1][3])
    out = capsys.readouterr().out
    assert "14 variables of 17" in out
    assert "Initialised: stack/feed_forward_0_branch/feed_forward_0/inner_kernel; " in out
    assert "Other settings: intermediate_dim was 32 and is 24; seed was 0 and is 5" in out


def test_weights_of_which_nothing_fits(config, tmp_path, corpus):
    other = runs.make_config(corpus, "lsh")
    other.model.hidden_dim, other.model.intermediate_dim, other.data.tokens = 24, 40, "shifted_bytes"
    other.model.vocabulary_size, other.model.num_heads = 258, 3
    sources.write(other, tmp_path / "other", [(1, 1.0)])
    config.init_from, config.init_partial = str(tmp_path / "other"), True
    with pytest.raises(ValueError, match="must hold weights of which some fit `config.model`"):
        Run(config, tmp_path / "new")
