"""Checkpoints by the clock: when they are due, and that the run is the same with them."""

import pytest

from tests.trainer import runs, toy
from trainer import exits
from trainer.storage.checkpoints import Checkpoints
from trainer.training import checkpoint_timer
from trainer.training.checkpoint_timer import CheckpointTimer


@pytest.mark.parametrize(("minutes", "expected"), [(0.5, [False, True]), (1.0, [False, False]), (0.0, [False, False])])
def test_when_it_is_due(monkeypatch, minutes, expected):
    now = [100.0]
    monkeypatch.setattr(checkpoint_timer.time, "monotonic", lambda: now[0])
    timer = CheckpointTimer(minutes)
    for _ in range(2):
        assert timer.is_due() == expected[0]
        now[0] += 30.0
        assert timer.is_due() == expected[1]
        timer.restart()


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    config = toy.make_config_with_corpus(tmp_path_factory)
    config.train.checkpoint_every, config.train.eval_every, config.train.keep_checkpoints = 5, -1, 20
    return config


@pytest.fixture(autouse=True)
def _steps_that_are_free(monkeypatch):
    toy.make_steps_free(monkeypatch)


def test_a_run_saves_by_the_clock_besides_by_the_step_and_goes_on_from_there(config, tmp_path):
    for minutes, folder, expected in ((1e9, "undisturbed", [0, 5, 10, 12]), (1e-12, "run", [*range(13)])):
        config.train.checkpoint_minutes = minutes
        assert runs.run(config, tmp_path / folder) == exits.DONE
        assert Checkpoints(tmp_path / folder / "checkpoints").steps() == expected
    for step in range(8, 13):
        (tmp_path / "run" / "checkpoints" / f"step-{step:08d}.safetensors").unlink()
    assert runs.run(config, tmp_path / "run") == exits.DONE
    runs.assert_same(tmp_path / "run", tmp_path / "undisturbed")
