"""The variables that weight decay shrinks."""

import pytest
import tensorflow as tf

from tests.trainer import runs
from tests.trainer.training.test_step import _model, _optimizer_config
from trainer.optimization import optimizer
from trainer.training.run import Run


def _shrunk(exclusions, name="adam", weight_decay=0.5):
    """The paths of the variables that an update with a gradient of zero changes."""
    model = _model()
    for variable in model.trainable_variables:
        variable.assign(tf.ones(variable.shape))
    config = _optimizer_config(name=name, weight_decay=weight_decay, weight_decay_exclusions=exclusions)
    slots = optimizer.make_optimizer(config, 10, model.trainable_variables)
    slots.apply([tf.zeros(v.shape) for v in model.trainable_variables], model.trainable_variables)
    paths = [v.path for v in model.trainable_variables]
    return {v.path for v in model.trainable_variables if v.numpy().max() < 1.0}, paths


@pytest.mark.parametrize("name", optimizer.OPTIMIZERS)
def test_what_has_fewer_than_two_dimensions_and_what_is_excluded_stays(name):
    matrices, paths = _shrunk((), name)
    assert any("embedding" in path for path in matrices)
    assert len(matrices) < len(paths)
    matching, _ = _shrunk(("token_embedding/", "position", "output$"), name)
    assert matching == {
        p for p in matrices if not (p.startswith("token_embedding/") or "position" in p or p.endswith("output"))
    }
    assert set() < matching < matrices


def test_an_exclusion_of_all_variables():
    assert _shrunk(("",))[0] == set()


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_an_expression_that_is_found_nowhere_is_refused(weight_decay):
    message = r"weight_decay_exclusions` must hold expressions .*token_embedding/embeddings.* Received: '\^nothing'"
    with pytest.raises(ValueError, match=message):
        _shrunk(("embedding", "^nothing"), weight_decay=weight_decay)


def test_a_run_refuses_it_too(tmp_path):
    config = runs.make_config(runs.write_corpus(tmp_path / "corpus"))
    config.optimizer.weight_decay_exclusions = ("embeding",)
    with pytest.raises(ValueError, match="Received: 'embeding'"):
        Run(config, tmp_path / "run")
