"""Runs that begin with the weights of another task, or of the same task with other labels."""

import numpy as np
import pytest

from tests.trainer import runs
from tests.trainer.initialization import sources
from tests.trainer.tasks import cases
from trainer.storage import named_variables
from trainer.training.run import Run

HEAD = ("hidden/", "output_projection/")


@pytest.fixture
def config(tmp_path):
    """A classifier of texts labelled "first" and "second"."""
    return cases.make_config("classification", tmp_path)


def _begun(config, workdir):
    started = Run(config, workdir)
    started.close()
    return {
        name: value
        for name, value in sources.weights(started.model).items()
        if not named_variables.is_made_from_seed(name)
    }


def _taken(weights, arrays):
    """The names of variables that are as in the arrays."""
    return {name for name, value in weights.items() if name in arrays and np.array_equal(value, arrays[name])}


def _head(weights):
    return {name for name in weights if name.removeprefix("model/").startswith(HEAD)}


def test_a_language_model_becomes_a_classifier(config, tmp_path, capsys):
    source = runs.make_config(tmp_path)
    arrays = sources.write(source, tmp_path / "pretrained", [(1, 1.0)])[1]
    config.init_from = str(tmp_path / "pretrained")
    weights = _begun(config, tmp_path / "new")
    assert _taken(weights, arrays) == weights.keys() - _head(weights)
    out = capsys.readouterr().out
    assert "Initialised: hidden/kernel; hidden/bias; output_projection/kernel; output_projection/bias" in out
    assert "Not used: head/bias" in out
    assert "causal was True and is False" in out


def test_a_language_model_becomes_a_masked_one(tmp_path):
    """Its mask is one more id, whose vector stays as it is made."""
    source = runs.make_config(tmp_path)
    arrays = sources.write(source, tmp_path / "pretrained", [(1, 1.0)])[1]
    config = cases.make_config("masked_language_model", tmp_path)
    made = _begun(config, tmp_path / "random")
    config.init_from = str(tmp_path / "pretrained")
    weights, table = _begun(config, tmp_path / "new"), "model/TokenEmbedding/embeddings"
    assert weights.keys() - _taken(weights, arrays) == {table, "model/head/bias"}
    np.testing.assert_array_equal(weights[table], [*arrays[table], made[table][257]])


def test_an_unused_id_of_a_language_model_becomes_no_mask(tmp_path):
    """A vocabulary may have more ids than text has: row 257 of the source is that of an id, here it is the mask's."""
    source = runs.make_config(tmp_path)
    source.model.vocabulary_size = 320
    arrays = sources.write(source, tmp_path / "pretrained", [(1, 1.0)])[1]
    config = cases.make_config("masked_language_model", tmp_path)
    made = _begun(config, tmp_path / "random")
    config.init_from = str(tmp_path / "pretrained")
    weights, table = _begun(config, tmp_path / "new"), "model/TokenEmbedding/embeddings"
    np.testing.assert_array_equal(weights[table], [*arrays[table][:257], made[table][257]])


@pytest.mark.parametrize(("labels", "with_head"), [(("first", "second"), True), (("second", "first"), False)])
def test_the_head_of_the_same_labels_is_taken(config, tmp_path, labels, with_head):
    """With the same labels in another sequence, each class would be taken for the other."""
    source = cases.make_config("classification", tmp_path)
    source.data.labels = labels
    arrays = sources.write(source, tmp_path / "pretrained", [(1, 1.0)])[1]
    config.init_from = str(tmp_path / "pretrained")
    weights = _begun(config, tmp_path / "new")
    assert _taken(weights, arrays) == weights.keys() - (set() if with_head else _head(weights))


def test_a_classifier_becomes_a_language_model(config, tmp_path):
    arrays = sources.write(config, tmp_path / "pretrained", [(1, 1.0)])[1]
    new = runs.make_config(runs.write_corpus(tmp_path / "corpus"))
    new.init_from = str(tmp_path / "pretrained")
    weights = _begun(new, tmp_path / "new")
    assert weights.keys() - _taken(weights, arrays) == {"model/head/bias"}
