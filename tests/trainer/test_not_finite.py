"""A run whose loss is not finite stops, says so, and keeps the last good state."""

import pytest

from tests.trainer import runs
from trainer import exits
from trainer.checkpoints import Checkpoints


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    config = runs.make_config(runs.write_corpus(tmp_path_factory.mktemp("data") / "corpus"))
    config.optimizer.learning_rate, config.optimizer.warmup_steps = 1e38, 0
    return config


def test_the_last_good_state_is_saved_and_the_run_stops_there_again(config, tmp_path, capsys):
    for _ in range(2):
        assert runs.run(config, tmp_path) == exits.NOT_FINITE
        said = capsys.readouterr().err
        assert "Stopped: loss or gradient of step 2 is not finite (loss nan, gradient norm nan)." in said
        assert f"The state after step 1 is saved in {tmp_path}." in said
        assert Checkpoints(tmp_path / "checkpoints").newest()[1]["step"] == 1
        assert [(record["split"], record["step"]) for record in runs.lines(tmp_path)] == [("train", 1)]
