"""The mean of the weights of several checkpoints: what it is, what the commands say, and what is refused."""

import json

import numpy as np
import pytest

from tests.trainer import command_line, runs
from trainer import exits
from trainer.config import write_config
from trainer.model import build_model, load_described, load_model
from trainer.storage import named_variables
from trainer.storage.workdir import Workdir
from trainer.training.evaluation import Evaluation

STEPS = (2, 4, 6, 8)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    config = runs.make_config(runs.write_corpus(tmp_path_factory.mktemp("data") / "corpus"), "lsh")
    config.train.keep_checkpoints = len(STEPS)
    return config


@pytest.fixture(scope="module")
def saved(config):
    """Arrays by step, of a run with a moving average: all random, those that are made from the seed, too."""
    values, rng = named_variables.values(named_variables.named_variables(build_model(config))), np.random.default_rng(0)
    trained = {name.replace("model/", "average/"): array for name, array in values.items() if _is_trained(name)}
    return {
        step: {
            name: rng.normal(scale=0.1, size=array.shape).astype(array.dtype)
            if array.dtype == np.float32
            else rng.integers(0, 99, array.shape, array.dtype)
            for name, array in {**values, **trained}.items()
        }
        for step in STEPS
    }


@pytest.fixture
def workdir(config, saved, tmp_path):
    workdir, description = Workdir(tmp_path / "run"), {"data": {}}
    for step, arrays in saved.items():
        workdir.checkpoints(len(STEPS)).save(step, arrays, description)
    write_config(config, workdir.config)
    return workdir


def _is_trained(name):
    return not named_variables.is_made_from_seed(name)


def _values(model):
    return named_variables.values(named_variables.named_variables(model))


@pytest.mark.parametrize(("checkpoint", "steps"), [("newest", (4, 6, 8)), ("6", (2, 4, 6))])
def test_the_mean_of_the_newest(config, saved, workdir, checkpoint, steps):
    model, description = load_described(config, workdir, checkpoint, 3)
    assert (description["step"], description["averaged_steps"]) == (steps[-1], list(steps))
    found = _values(model)
    assert sum(not _is_trained(name) for name in found) >= 2  # Rotations, and the state of a generator.
    for name, array in found.items():
        parts = [saved[step][name] for step in steps]
        expected = np.mean(parts, axis=0, dtype=np.float64).astype(np.float32) if _is_trained(name) else parts[-1]
        np.testing.assert_array_equal(array, expected, err_msg=name)


def test_the_mean_of_moving_averages(config, saved, workdir):
    config = config.copy_and_resolve_references()
    config.optimizer.ema_momentum = 0.9
    model, _ = load_model(config, workdir, average_checkpoints=2)
    for name, array in _values(model).items():
        if _is_trained(name):
            parts = [saved[step][name.replace("model/", "average/")] for step in STEPS[-2:]]
            np.testing.assert_array_equal(array, np.mean(parts, axis=0, dtype=np.float64).astype(np.float32))


def test_another_number_of_rounds(config, saved, workdir):
    """The rotations of more rounds come from the seed, the weights from the mean."""
    config = config.copy_and_resolve_references()
    config.model.num_hashes = 2
    model, _ = load_model(config, workdir, average_checkpoints=4)
    found, expected = _values(model), _values(build_model(config))
    for name in found:
        if name.endswith("/rotations"):
            np.testing.assert_array_equal(found[name], expected[name])


def test_a_single_checkpoint_is_no_average(config, saved, workdir):
    model, description = load_described(config, workdir)
    assert "averaged_steps" not in description
    for name, array in _values(model).items():
        np.testing.assert_array_equal(array, saved[8][name])


@pytest.mark.parametrize(
    ("count", "checkpoint", "message"),
    [
        (0, "newest", "`average_checkpoints` must be at least 1, which averages none. Received: 0"),
        (5, "newest", r"must be at most 4, .* up to step 8 .*\(2, 4, 6, 8\).*`config.train.keep_checkpoints`.* is 4"),
        (3, "4", r"must be at most 2, .* up to step 4 \(2, 4\).* Received: 3"),
    ],
)
def test_too_few_checkpoints(config, workdir, count, checkpoint, message):
    with pytest.raises(ValueError, match=message):
        load_model(config, workdir, checkpoint, count)


def test_a_damaged_checkpoint_is_named(config, workdir):
    path = workdir.root / "checkpoints" / "step-00000004.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    load_model(config, workdir, average_checkpoints=2)
    with pytest.raises(ValueError, match=f"must not be a damaged one. Received: {path}"):
        load_model(config, workdir, average_checkpoints=3)


def test_other_weights_in_another_checkpoint(config, saved, workdir):
    arrays = dict(saved[6])
    name = next(name for name in arrays if _is_trained(name))
    arrays[name] = arrays[name][:1]
    workdir.checkpoints(len(STEPS)).save(6, arrays, {"data": {}})
    with pytest.raises(ValueError, match=f"must have the same arrays to average. Received: {name} of shape"):
        load_model(config, workdir, average_checkpoints=2)


def test_the_commands_say_what_was_averaged(workdir, capsys, monkeypatch):
    monkeypatch.setattr(Evaluation, "run", lambda evaluation: {"loss": 1.0})
    assert command_line.run("evaluate", f"--workdir={workdir.root}", "--average_checkpoints=2") == exits.DONE
    assert " at step 8 (the mean of the checkpoints of steps 6, 8)\n" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["evaluate"], ["generate"], ["export", "--output=export"]])
def test_the_commands_refuse_to_average_more_than_there_are(workdir, capsys, command):
    module, *flags = command
    assert command_line.run(module, f"--workdir={workdir.root}", "--average_checkpoints=9", *flags) == exits.REFUSED
    assert "`average_checkpoints` must be at most 4, the number of checkpoints" in capsys.readouterr().err


@pytest.mark.slow
def test_the_card_of_an_export_says_what_was_averaged(workdir, tmp_path, capsys):
    output = tmp_path / "export"
    flags = (f"--workdir={workdir.root}", "--average_checkpoints=2", f"--output={output}")
    assert command_line.run("export", *flags) == exits.DONE
    assert "The model of step 8 (the mean of the checkpoints of steps 6, 8) is in" in capsys.readouterr().out
    card = json.loads((output / "1" / "assets.extra" / "model_card.json").read_text())
    assert (card["training"]["step"], card["training"]["averaged_steps"]) == (8, [6, 8])
