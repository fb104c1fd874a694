"""A run whose loss is not finite stops, says so, and saves the last good state."""

import pytest

from tests.trainer import runs
from tests.trainer.full_disk import FullDisk
from trainer import exits
from trainer.storage.checkpoints import Checkpoints
from trainer.training import loop


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    config = runs.make_config(runs.write_corpus(tmp_path_factory.mktemp("data") / "corpus"))
    config.optimizer.learning_rate, config.optimizer.warmup_steps = 1e38, 0
    return config


@pytest.fixture(scope="module")
def programs():
    return runs.Programs()


def test_the_last_good_state_is_saved_and_the_run_stops_there_again(config, programs, tmp_path, capsys):
    for _ in range(2):
        assert programs.run(config, tmp_path) == exits.NOT_FINITE
        said = capsys.readouterr().err
        assert "Stopped: loss or gradient of step 2 is not finite (loss nan, gradient norm nan)." in said
        assert f"The state after step 1 is saved in {tmp_path}." in said
        assert Checkpoints(tmp_path / "checkpoints").newest()[1]["step"] == 1
        assert [(record["split"], record["step"]) for record in runs.lines(tmp_path)] == [("train", 1)]


def test_a_last_good_state_that_cannot_be_saved(config, programs, tmp_path, monkeypatch, capsys):
    FullDisk(monkeypatch, r"step-00000001\.safetensors")
    assert programs.run(config, tmp_path) == exits.NOT_SAVED
    said = capsys.readouterr().err
    assert "The checkpoint of step 1 could not be written: [Errno 28]" in said
    assert "The checkpoint of step 0 stands. The run ends" in said
    assert "is saved in" not in said


def test_the_state_is_saved_before_the_cause_is_looked_for(config, programs, tmp_path, monkeypatch):
    def fails(run):
        raise MemoryError

    monkeypatch.setattr(loop, "unknown_ids", fails)
    with pytest.raises(MemoryError):
        programs.run(config, tmp_path)
    assert Checkpoints(tmp_path / "checkpoints").newest()[1]["step"] == 1


@pytest.mark.parametrize("limit", [0, 12])
def test_an_id_outside_the_vocabulary_is_named_or_the_step_is_skipped(config, programs, tmp_path, capsys, limit):
    config = config.copy_and_resolve_references()
    config.optimizer.learning_rate = 1e-3
    config.train.max_skipped_steps, config.train.eval_every = limit, -1
    started = programs.start(config, tmp_path)
    started.examples.documents.ids[started.examples.starts[::20] + 3] = 300
    code = runs.train(started)
    said = capsys.readouterr().err
    if limit:
        assert code == exits.DONE
        assert 1 <= runs.lines(tmp_path)[-1]["skipped_steps"] < 12
        return
    assert code == exits.NOT_FINITE
    assert "Its batch has ids outside the vocabulary, 300: `config.model.vocabulary_size` must be above" in said
    assert "Received: 257" in said
