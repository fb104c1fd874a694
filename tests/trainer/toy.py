"""Runs whose steps and evaluations cost nothing, for tests of the files and messages around them."""

import pytest
import tensorflow as tf

from tests.trainer import runs
from trainer import exits
from trainer.training import run as run_module
from trainer.training.run import Run
from trainer.training.step import StepResult

LOSSES = {2: 3.0, 4: 1.0, 6: 2.0, 8: 0.5, 10: 0.5, 12: 0.75}
"""What the evaluations find: the best are those of 2, 4 and 8."""


class ToyStep:
    """A step that changes one weight depending on its value and the number of the step."""

    def __init__(self, model, optimizer):
        self._weight = model.trainable_variables[0]
        self._optimizer = optimizer

    def __call__(self, batch, seed, loss_scale=None):
        self._weight.assign(0.5 * self._weight + float(seed[1]))
        loss = tf.reduce_mean(self._weight)
        one, rate = tf.constant(1.0), tf.cast(self._optimizer.learning_rate, tf.float32)
        self._optimizer.iterations.assign_add(1)
        tokens = tf.reduce_sum(tf.cast(batch[1][:, 1:], tf.float32))
        sums = {"tokens": tokens, "bytes": one, "byte_loss": one}
        return StepResult(loss, sums, one, rate, tf.constant(True))


def make_steps_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaces the steps and evaluations of every run by toys."""
    monkeypatch.setattr(run_module, "TrainStep", lambda model, optimizer, *_, **__: ToyStep(model, optimizer))
    monkeypatch.setattr(Run, "evaluate", lambda run: {"loss": LOSSES[run.step], "bits_per_byte": 1.0})


def make_toy_config(config):
    """Makes the config of a toy run: 12 steps, evaluated every 2, saved every 3."""
    config.train.eval_every, config.train.checkpoint_every, config.train.keep_checkpoints = 2, 3, 2
    return config


def make_config_with_corpus(tmp_path_factory):
    """Makes the config of a toy run, with a corpus in a folder of its own."""
    return make_toy_config(runs.make_config(runs.write_corpus(tmp_path_factory.mktemp("data") / "corpus")))


def run_to_the_end(config, workdir):
    """Runs a toy to its last step in a folder, before any test, and returns the folder."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        make_steps_free(monkeypatch)
        assert runs.run(config, workdir) == exits.DONE
    return workdir
