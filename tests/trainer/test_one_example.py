"""Runs on one example without evaluations, as `configs/million_tokens.py` does, at a small size."""

import json

import numpy as np
import pytest

from tests.trainer import runs
from trainer import exits
from trainer.training import steps
from trainer.training.run import Run


@pytest.fixture
def config(tmp_path):
    config = runs.make_config(runs.write_corpus(tmp_path / "corpus"))
    config.data.train_windows = 1
    config.model.dropout = config.model.attention_dropout = 0.0
    config.optimizer.schedule, config.optimizer.warmup_steps = "constant", 0
    config.train.batch_size, config.train.steps, config.train.log_every = 1, 3, 1
    config.train.eval_every = -1
    return config


def test_every_step_sees_the_same_full_example(config, tmp_path):
    run = Run(config, tmp_path / "run")
    batches = steps.batches(run)
    first, mask = next(batches)
    run.close()
    assert mask.numpy().sum() == 64 + 1  # As many targets as the sequence is long.
    assert run.examples.tokens == 64
    for _ in range(2):
        np.testing.assert_array_equal(next(batches)[0], first)


def test_the_loss_falls_and_nothing_is_evaluated(config, tmp_path, capsys):
    config.train.log_memory = True
    assert runs.run(config, tmp_path / "run") == exits.DONE
    records = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [(record["split"], record["step"]) for record in records] == [("train", step) for step in (1, 2, 3)]
    losses = [record["loss"] for record in records]
    assert losses == sorted(losses, reverse=True) and losses[0] > losses[-1]
    peaks = [record["peak_memory_mib"] for record in records]
    assert peaks == sorted(peaks) and peaks[0] > 100
    said = capsys.readouterr().out
    assert "(1 example(s) of them, 64 tokens)" in said
    assert "Done after 3 steps. Peak memory of the process: " in said
    assert "validation loss" not in said
