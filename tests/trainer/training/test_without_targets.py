"""A step whose batch has no targets has no loss: its line says null, and the run goes on."""

import json

import pytest
import tensorflow as tf

from tests.trainer import runs, toy
from trainer import exits
from trainer.training import dry_run
from trainer.training.run import Run


class _StepWithoutTargets(toy.ToyStep):
    """As a step of a masked model in whose batch no token was drawn."""

    def __call__(self, batch, seed, loss_scale=None):
        result = super().__call__(batch, seed, loss_scale)
        without = result._replace(loss=tf.constant(0.0), sums={**result.sums, "tokens": tf.constant(0.0)})
        return without if int(seed[1]) in (0, 11) else result


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setattr(toy, "ToyStep", _StepWithoutTargets)
    toy.make_steps_free(monkeypatch)
    return toy.make_toy_config(runs.make_config(runs.write_corpus(tmp_path / "corpus")))


def test_the_lines(config, tmp_path, capsys):
    config.train.log_every = 1
    assert runs.run(config, tmp_path / "run") == exits.DONE
    losses = {line["step"]: line["loss"] for line in runs.lines(tmp_path / "run") if line["split"] == "train"}
    assert [step for step, loss in losses.items() if loss is None] == [1, 12]
    assert "step  1/12  loss nan" in capsys.readouterr().out


def test_the_dry_run(config, tmp_path, capsys):
    config.train.eval_every = -1
    run = Run(config, tmp_path / "run", dry=True)
    assert dry_run.show(run) == exits.DONE
    run.close()
    *said, last = capsys.readouterr().out.splitlines()
    assert json.loads(last)["loss"] is None
    assert said[-1] == "Loss        not finite in the first step, or without targets"
