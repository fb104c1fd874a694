"""The output of `--dry_run`, which leaves no files."""

import json
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

from tests.trainer import runs, toy
from trainer import exits
from trainer.training import dry_run
from trainer.training.run import Run

ROOT = pathlib.Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    config = toy.make_config_with_corpus(tmp_path_factory)
    config.model.attention_layers = ("lsh",)  # It has weights that are not trained.
    config.optimizer.ema_momentum = 0.9
    return config


class _NoEvaluation:
    """A fake evaluation of 2 batches without work."""

    generated = None

    def score(self, stop_requested):
        assert not stop_requested() and not stop_requested()


@pytest.fixture
def _steps_that_are_free(monkeypatch):
    toy.make_steps_free(monkeypatch)
    monkeypatch.setattr(Run, "make_evaluation", lambda run, examples: _NoEvaluation())


def _show(config, workdir, capsys):
    run = Run(config, workdir, dry=True)
    capsys.readouterr()
    try:
        assert dry_run.show(run) == exits.DONE
    finally:
        run.close()
    *said, last = capsys.readouterr().out.splitlines()
    return run, "\n".join(said), json.loads(last)


def _contents(folder):
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.usefixtures("_steps_that_are_free")
def test_a_new_run(config, tmp_path, capsys):
    run, said, found = _show(config, tmp_path / "run", capsys)
    assert not (tmp_path / "run").exists()
    assert f"a run in {tmp_path / 'run'} would begin, to step 12." in said
    weights = {variable.path: variable.numpy() for variable in run.model.variables}
    trained = sum(variable.numpy().size for variable in run.model.trainable_variables)
    assert found["parameters"] == run.model.count_params()
    assert found["trainable_parameters"] == trained < found["parameters"]
    assert found["weights_mib"] * 2**20 == sum(value.nbytes for value in weights.values())
    assert found["gradients_mib"] * 2**20 == 4 * trained == found["moving_average_mib"] * 2**20
    assert 0 < found["optimizer_slots_mib"] * 2**20 - 2 * 4 * trained <= 64, (
        "Adam has two slots, and counts its updates"
    )
    sizes = np.array([mask.sum() - 1 for _, mask in run.examples])
    assert (found["examples_an_epoch"], found["tokens_an_epoch"]) == (len(sizes), sizes.sum())
    assert found["epochs"] == 12 * 4 / len(sizes)
    assert (found["step"], found["steps"], found["evaluations"]) == (0, 12, 6)
    assert found["timed_steps"] == 5
    assert found["seconds_left"] >= 12 * found["seconds_a_step"] > 0
    assert found["peak_mib"] > 0
    assert re.search(r"^Parameters  [\d,]+, of which [\d,]+ are trained$", said, re.MULTILINE)
    assert f"12 steps are {found['epochs']:.3g} epochs" in said


@pytest.mark.usefixtures("_steps_that_are_free")
def test_a_run_that_is_there(config, tmp_path, capsys):
    """Even while its folder is locked."""
    assert runs.run(config, tmp_path, runs.StopAfter(10)) == exits.STOPPED
    damaged = tmp_path / "checkpoints" / "step-00000009.safetensors"
    damaged.write_bytes(b"not a checkpoint")
    before = _contents(tmp_path)
    _, said, found = _show(config, tmp_path, capsys)
    assert _contents(tmp_path) == before
    assert "would go on after step 7, to step 12." in said
    assert (found["step"], found["evaluations"]) == (7, 3)
    config = config.copy_and_resolve_references()
    config.model.hidden_dim = 32
    with pytest.raises(ValueError, match=r"config\.model\.hidden_dim was 16 and is 32"):
        Run(config, tmp_path, dry=True)
    assert _contents(tmp_path) == before


@pytest.mark.parametrize(
    ("eval_every", "step", "expected"), [(20, 0, 3), (20, 20, 2), (20, 45, 0), (0, 3, 1), (-1, 0, 0), (50, 44, 1)]
)
def test_how_many_evaluations_are_to_come(config, eval_every, step, expected):
    class Standing:
        pass

    run = Standing()
    run.config, run.step = config.copy_and_resolve_references(), step
    run.config.train.steps, run.config.train.eval_every = 45, eval_every
    assert dry_run._evaluations(run) == expected


@pytest.mark.slow
def test_the_command(tmp_path):
    corpus = runs.write_corpus(tmp_path / "corpus")
    workdir = tmp_path / "run"
    options = {"data.name": "text", "data.path": corpus, "data.validation_fraction": 0.2}
    arguments = ["--config=configs/tiny.py", f"--workdir={workdir}", "--dry_run"]
    arguments += [f"--config.{name}={value}" for name, value in options.items()]
    done = subprocess.run(
        [sys.executable, "-m", "trainer.task", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
        timeout=300,
    )
    assert done.returncode == exits.DONE, done.stderr
    assert os.listdir(tmp_path) == ["corpus"]
    found = json.loads(done.stdout.splitlines()[-1])
    assert 4.0 < found["loss"] < 7.0
    assert found["first_step_seconds"] > found["seconds_a_step"] > 0
    assert found["peak_mib"] > found["resident_before_mib"] > 100
    assert found["seconds_an_evaluation"] > 0
