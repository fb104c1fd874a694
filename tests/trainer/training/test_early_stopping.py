"""Early stopping: when a run ends, its state then, and what a new start does."""

import re
import shutil

import pytest
from ml_collections import ConfigDict

from tests.trainer import runs, toy
from trainer import exits
from trainer.storage.checkpoints import Checkpoints
from trainer.training import early_stopping


def _settings(evaluations=2, metric="loss", improvement=0.0):
    return ConfigDict(
        {
            "early_stopping_evaluations": evaluations,
            "early_stopping_metric": metric,
            "early_stopping_min_improvement": improvement,
        }
    )


def _records(losses, tokens=None):
    lines = [{"split": "validation", "step": step, "loss": loss} for step, loss in enumerate(losses, 1)]
    for line, count in zip(lines, tokens or (), strict=False):
        line["tokens"] = count
    return [{"split": "train", "step": 1, "loss": 0.1}, *lines, {"split": "ablation", "step": len(lines), "loss": 9.0}]


@pytest.mark.parametrize(
    ("losses", "settings", "expected"),
    [
        ((), _settings(), None),
        ((3.0, 2.0, 1.0), _settings(1), None),
        ((3.0, 2.0, 2.0), _settings(1), "the validation loss was 2.0000 at step 2 and .* in 1 evaluation"),
        ((3.0, 2.0, 2.5), _settings(2), None),
        ((3.0, 2.0, 2.5, 2.0), _settings(2), "was 2.0000 at step 2 and has not improved in 2 evaluation"),
        ((3.0, 2.0, 2.5, 1.9), _settings(2), None),
        ((3.0, 2.95, 2.9), _settings(2, improvement=0.2), r"was 3.0000 at step 1 and .* by more than 0\.2 in 2 eval"),
        ((3.0, 2.95, 2.7), _settings(2, improvement=0.2), None),
        ((None, None), _settings(2), r"the validation loss was not finite in 2 evaluation\(s\)"),
        ((3.0, None, 2.0), _settings(2), None),
        ((3.0, None, None), _settings(2), "was 3.0000 at step 1"),
        ((3.0, 4.0, 5.0), _settings(0), None),
    ],
)
def test_when(losses, settings, expected):
    reason = early_stopping.reason(settings, _records(losses))
    assert reason is None if expected is None else re.search(expected, reason)


def test_another_figure():
    records = [{"split": "validation", "step": 1, "loss": 1.0, "bits_per_byte": 2.0}]
    records += [{"split": "validation", "step": 2, "loss": 2.0, "bits_per_byte": 1.0}]
    assert early_stopping.reason(_settings(1, "bits_per_byte"), records) is None
    assert early_stopping.reason(_settings(1, "loss"), records)
    records += [{"split": "validation", "step": 3, "loss": 0.5, "bits_per_byte": 1.0}]
    assert "the validation bits per byte was 1.0000 at step 2" in early_stopping.reason(
        _settings(1, "bits_per_byte"), records
    )


def test_lines_of_older_versions_without_the_metric_do_not_count():
    settings, records = _settings(2, "accuracy"), _records((3.0, 2.0, 1.0))
    assert early_stopping.reason(settings, records) is None
    records += [{"split": "validation", "step": 4, "loss": 1.0, "accuracy": None}]
    assert early_stopping.reason(settings, records) is None
    records += [{"split": "validation", "step": 5, "loss": 1.0, "accuracy": None}]
    assert early_stopping.reason(settings, records) == "the validation accuracy was not finite in 2 evaluation(s)"
    records += [{"split": "validation", "step": step, "loss": 1.0, "accuracy": 0.5} for step in (6, 7, 8)]
    assert "was 0.5000 at step 6 and has not improved in 2 eval" in early_stopping.reason(settings, records)


def test_evaluations_of_other_examples_do_not_count():
    assert early_stopping.reason(_settings(2), _records((1.0, 3.0, 2.9, 3.0), tokens=(10, 20, 20, 20))) is None
    assert early_stopping.reason(_settings(2), _records((1.0, 3.0, 2.9, 3.0), tokens=(20, 20, 20, 20)))


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return toy.make_config_with_corpus(tmp_path_factory)


@pytest.fixture(autouse=True)
def _steps_that_are_free(monkeypatch):
    toy.make_steps_free(monkeypatch)


def _with(config, evaluations):
    config = config.copy_and_resolve_references()
    config.train.early_stopping_evaluations = evaluations
    return config


def test_the_best_is_said_to_be_that_of_its_metric(config, tmp_path, capsys):
    config = _with(config, 1)
    config.train.best_metric = "bits_per_byte"
    assert runs.run(config, tmp_path) == exits.DONE
    assert "--checkpoint=best of the other commands reads that of the best validation bits per byte." in (
        capsys.readouterr().out
    )


def test_a_run_ends_early_once_and_for_all_until_its_config_changes(config, tmp_path, capsys):
    workdir, undisturbed = tmp_path / "run", tmp_path / "undisturbed"
    assert runs.run(_with(config, 1), workdir) == exits.DONE == 0
    said = capsys.readouterr().out
    assert "Done, ended early after step 6 of 12: the validation loss was 1.0000 at step 4 and has not improved" in said
    assert "Done after 12 steps" not in said
    assert [(line["split"], line["step"]) for line in runs.lines(workdir)][-2:] == [("train", 6), ("validation", 6)]
    assert Checkpoints(workdir / "checkpoints").steps() == [4, 6]

    killed = tmp_path / "killed"  # Before the checkpoint of its last step.
    shutil.copytree(workdir, killed)
    (killed / "checkpoints" / "step-00000006.safetensors").unlink()
    assert runs.run(_with(config, 1), killed) == exits.DONE
    runs.assert_same(killed, workdir)

    before = runs.checkpoint_files(workdir), (workdir / "metrics.jsonl").read_bytes()
    capsys.readouterr()
    assert runs.run(_with(config, 1), workdir) == exits.DONE
    assert "Done, ended early after step 6 of 12: " in capsys.readouterr().out
    assert (runs.checkpoint_files(workdir), (workdir / "metrics.jsonl").read_bytes()) == before

    assert runs.run(config, undisturbed) == exits.DONE
    assert runs.run(_with(config, 2), workdir) == exits.DONE
    assert "Done after 12 steps" in capsys.readouterr().out
    runs.assert_same(workdir, undisturbed)
