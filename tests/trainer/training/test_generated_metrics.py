"""Metrics of what a model generates: once in an evaluation, by one process, with the current weights."""

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf import models
from trainer import exits
from trainer.tasks import LanguageModel
from trainer.training import generated_metrics
from trainer.training.evaluation import Evaluation
from trainer.training.generated_metrics import GeneratedMetrics


class _Generates(LanguageModel):
    """Generates nothing, and reports the first weight of the model that it gets."""

    def __init__(self):
        super().__init__()
        self.models = []

    def generated_examples(self, examples):
        return examples[:4]

    def generated_metrics(self, model, examples, batch_size, progress):
        self.models.append(model)
        for first in range(0, len(examples), batch_size):
            progress(first)
        return {"weight": float(model.trainable_variables[0].numpy().flat[0])}, "as it was done"


class _Group:
    """One of two processes, to which the chief has sent a value."""

    def __init__(self, is_chief, value=None):
        self.is_chief, self.sent = is_chief, value

    def broadcast(self, value):
        if self.is_chief:
            self.sent = value
        return self.sent


def _model():
    return models.ReformerCausalLM(8, 16, 1, 8, 2, 4, 8, ["local"], local_chunk_length=4, seed=1)


def _metrics(task, model, strategy=None, group=None):
    return GeneratedMetrics(task, model, strategy or tf.distribute.get_strategy(), [0, 1, 2], 2, group)


def test_an_evaluation_generates_for_the_chosen_examples_after_its_sums(monkeypatch, capsys):
    task, model = _Generates(), _model()
    evaluation = Evaluation(model, tf.distribute.get_strategy(), range(9), 2, task=task)
    monkeypatch.setattr(evaluation, "score", lambda stop_requested: {"loss": 2.0})
    assert evaluation.generated.number == 4
    first = float(model.trainable_variables[0].numpy().flat[0])
    assert evaluation.run() == {"loss": 2.0, "weight": first}
    assert task.models == [model]
    assert capsys.readouterr().out == "  as it was done\n"


def test_most_tasks_generate_nothing():
    assert Evaluation(_model(), tf.distribute.get_strategy(), range(9), 2).generated is None
    with pytest.raises(NotImplementedError, match="LanguageModel generates nothing in an evaluation"):
        LanguageModel().generated_metrics(None, [], 1, print)


def test_replicas_have_a_copy_with_the_current_weights(mirrored_strategy):
    with mirrored_strategy.scope():
        model = _model()
    task = _Generates()
    metrics = _metrics(task, model, mirrored_strategy)
    for value in (0.5, 0.25):
        model.trainable_variables[0].assign(np.full(model.trainable_variables[0].shape, value))
        assert metrics.run() == {"weight": value}
    assert task.models[0] is task.models[1] is not model
    for weight, other in zip(task.models[0].weights, model.weights, strict=True):
        np.testing.assert_array_equal(weight.numpy(), other.numpy())


def test_the_chief_alone_generates():
    task, model = _Generates(), _model()
    chief = _Group(is_chief=True)
    found = _metrics(task, model, group=chief).run()
    assert len(task.models) == 1
    assert _metrics(task, model, group=_Group(is_chief=False, value=chief.sent)).run() == found
    assert len(task.models) == 1


def test_a_stop_ends_it_in_all_processes():
    task, looks = _Generates(), []

    def stop_requested():
        looks.append(None)
        return len(looks) == 2

    chief = _Group(is_chief=True)
    with pytest.raises(exits.Stopped):
        _metrics(task, _model(), group=chief).run(stop_requested)
    assert len(looks) == 2
    with pytest.raises(exits.Stopped):
        _metrics(task, _model(), group=_Group(is_chief=False, value=chief.sent)).run()
    with pytest.raises(exits.Stopped):
        _metrics(task, _model()).run(lambda: True)


def test_the_progress_of_long_work(monkeypatch, capsys):
    monkeypatch.setattr(generated_metrics, "_SAID_EVERY", -1.0)
    _metrics(_Generates(), _model()).run()
    assert capsys.readouterr().out == (
        "  generated for 0 of 3 examples\n  generated for 2 of 3 examples\n  as it was done\n"
    )
