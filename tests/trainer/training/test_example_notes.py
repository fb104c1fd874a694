"""What is left out of the examples is said when a run begins and when it is scored; batches are as the config asks."""

import numpy as np
import pytest

from tests.trainer import runs
from trainer import evaluate, exits
from trainer.data import datasets
from trainer.data.examples import Examples
from trainer.storage.workdir import Workdir
from trainer.training import steps
from trainer.training.run import Run


@pytest.fixture
def config(tmp_path):
    config = runs.make_config(runs.write_corpus(tmp_path / "corpus"))
    config.train.steps = config.train.checkpoint_every = 1
    return config


def test_notes(config, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(Examples, "notes", ("3 of 7 are left out.",))
    assert runs.run(config, tmp_path / "run") == exits.DONE
    said = capfd.readouterr().out.splitlines()
    assert {"To train on: 3 of 7 are left out.", "To validate on: 3 of 7 are left out."} <= {*said}
    scored, _, _ = evaluate.prepare(config, Workdir(tmp_path / "run"), "newest", ())
    assert scored.notes[-1] == "3 of 7 are left out."


def test_batches_of_similar_length(config, tmp_path):
    config.data.layout, config.data.length_buckets, config.data.group_by_length = "padded", (16, 32), True
    run = Run(config, tmp_path / "run")
    run.close()
    found = next(steps.batches(run))
    settings = config.train
    expected = datasets.train_dataset(run.examples, settings.batch_size, settings.seed, group_by_length=True)
    plain = datasets.train_dataset(run.examples, settings.batch_size, settings.seed)
    assert np.array_equal(found[0], next(iter(expected))[0])
    assert not np.array_equal(found[0], next(iter(plain))[0])
