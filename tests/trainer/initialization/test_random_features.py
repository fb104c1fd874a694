"""Weights of exact attention in attention by random features, whose rows no other run decides."""

import numpy as np
import pytest
from ml_collections import ConfigDict

from tests.trainer import runs
from tests.trainer.initialization import sources
from trainer.storage import named_variables
from trainer.training.run import Run


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return runs.write_corpus(tmp_path_factory.mktemp("data") / "corpus")


def _config(corpus, kind="performer", **options):
    config = runs.make_config(corpus, kind)
    if options:
        config.model.attention_options = ConfigDict({kind: options})
    config.model.attention_dropout = 0.0
    return config


def _begun(config, workdir):
    started = Run(config, workdir)
    started.close()
    return sources.weights(started.model)


def _rows(weights):
    (rows,) = (value for name, value in weights.items() if name.endswith("/feature_rows"))
    return rows


def test_a_performer_takes_all_weights_of_exact_attention(corpus, tmp_path, capsys):
    exact = sources.write(_config(corpus, "full"), tmp_path / "exact", [(1, 1.0)])[1]
    config = _config(corpus, num_features=32, features="softmax_regularized", redraw_every=2)
    random = _begun(config, tmp_path / "random")
    config.init_from = str(tmp_path / "exact")
    weights = _begun(config, tmp_path / "new")
    for name, value in weights.items():
        if not named_variables.is_made_from_seed(name):
            np.testing.assert_array_equal(value, exact[name.replace("performer", "full")], err_msg=name)
    np.testing.assert_array_equal(_rows(weights), _rows(random))
    said = capsys.readouterr().out
    assert "rotations and rows of random features are made from the seed" in said
    assert "Initialised" not in said and "Not used" not in said


def test_exact_attention_takes_all_weights_of_a_performer(corpus, tmp_path, capsys):
    sources.write(_config(corpus), tmp_path / "performer", [(1, 1.0)])
    config = _config(corpus, "full")
    config.init_from = str(tmp_path / "performer")
    _begun(config, tmp_path / "new")
    said = capsys.readouterr().out
    assert "Initialised" not in said and "Not used" not in said


@pytest.mark.parametrize("features", [32, 64])
def test_a_performer_takes_weights_of_one_with_as_many_or_other_features(corpus, tmp_path, features):
    source = sources.write(_config(corpus, num_features=32), tmp_path / "source", [(1, 1.0)])[1]
    config = _config(corpus, num_features=features)
    config.init_from = str(tmp_path / "source")
    weights = _begun(config, tmp_path / "new")
    assert _rows(weights).shape == (features, config.model.key_dim)
    assert not np.array_equal(_rows(weights)[:32], _rows(source))
