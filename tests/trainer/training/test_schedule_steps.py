"""The schedule of a run keeps its length when the run is extended, and a start says where the learning rate changes."""

import json
import shutil

import numpy as np
import pytest

from tests.trainer import runs, toy
from trainer import exits
from trainer.config_checks import check_config
from trainer.optimization.schedule import make_schedule
from trainer.storage import checkpoint_file


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    config = toy.make_config_with_corpus(tmp_path_factory)
    config.optimizer.schedule, config.optimizer.warmup_steps = "cosine", 2
    config.optimizer.learning_rate, config.optimizer.final_fraction = 0.5, 0.1
    config.train.steps = 6
    return config


@pytest.fixture(scope="module")
def finished(config, tmp_path_factory):
    return toy.run_to_the_end(config, tmp_path_factory.mktemp("finished"))


@pytest.fixture
def workdir(finished, tmp_path, monkeypatch):
    toy.make_steps_free(monkeypatch)
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def _extended(config, steps=12, schedule_steps=0):
    config = config.copy_and_resolve_references()
    config.train.steps, config.optimizer.schedule_steps = steps, schedule_steps
    return config


def _assert_rates(workdir, *parts):
    """Asserts that the learning rates of the lines follow cosines, each given by its number of lines and its end."""
    found = [line["learning_rate"] for line in runs.lines(workdir) if line["split"] == "train"]
    expected = []
    for lines, end in parts:
        schedule = make_schedule("cosine", 0.5, 2, end, 0.1)
        expected += [float(schedule(len(expected) + number)) for number in range(lines)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def _as_before_the_field(workdir):
    """Changes the folder to one that was written by code older than the field."""
    for path in (workdir / "checkpoints").iterdir():
        arrays, description = checkpoint_file.read(path)
        del description["first_train_steps"]
        checkpoint_file.write(path, arrays, description)
    fields = json.loads((workdir / "config.json").read_text())
    del fields["optimizer"]["schedule_steps"]
    (workdir / "config.json").write_text(json.dumps(fields))


@pytest.mark.parametrize("is_older", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_longer_run_goes_on_along_the_first_schedule(config, workdir, caplog, is_older):
    if is_older:
        _as_before_the_field(workdir)
    assert runs.run(_extended(config, 8), workdir) == exits.DONE
    assert runs.run(_extended(config, 10), workdir) == exits.DONE
    _assert_rates(workdir, (10, 6))
    said = [message for message in caplog.messages if "run goes on to step 10" in message]
    assert said == [
        "The schedule of the learning rate ends after 6 updates and the run goes on to step 10: the rate is 0.05 in the"
        " last of them and 0.05 in all that follow. `config.optimizer.schedule_steps` sets another end, 10 for instance"
    ]
    assert "The learning rate was" not in caplog.text


def test_another_end_is_said_with_the_rates(config, workdir, caplog):
    assert runs.run(_extended(config, 12, 12), workdir) == exits.DONE
    _assert_rates(workdir, (6, 6), (6, 12))
    assert "config.optimizer.schedule_steps was 0 before and is 12 now" in caplog.text
    rate = float(make_schedule("cosine", 0.5, 2, 12, 0.1)(6))
    assert (
        f"The learning rate was 0.05 in the last update and is {rate:.3g} in the next; the config before would go on "
        "with 0.05"
    ) in caplog.messages
    assert "The schedule of the learning rate ends" not in caplog.text


@pytest.mark.slow
def test_an_end_that_is_set_holds_from_the_beginning_and_0_means_the_first_steps_again(config, tmp_path, monkeypatch):
    toy.make_steps_free(monkeypatch)
    assert runs.run(_extended(config, 6, 12), tmp_path) == exits.DONE
    _assert_rates(tmp_path, (6, 12))
    assert runs.run(_extended(config, 8, 0), tmp_path) == exits.DONE
    _assert_rates(tmp_path, (6, 12), (2, 6))


@pytest.mark.slow
def test_a_rate_of_nothing_is_said(config, workdir, caplog):
    config = _extended(config, 8)
    config.optimizer.final_fraction = 0.0
    assert runs.run(config, workdir) == exits.DONE
    assert "and 0 in all that follow, with which nothing is learnt." in caplog.text
    assert "The learning rate was 0.05 in the last update and is 0 in the next; the config before would" in caplog.text


@pytest.mark.slow
def test_a_resume_within_the_schedule_says_nothing(config, tmp_path, monkeypatch, caplog):
    toy.make_steps_free(monkeypatch)
    assert runs.run(config, tmp_path, runs.StopAfter(4)) == exits.STOPPED
    assert runs.run(config, tmp_path) == exits.DONE
    _assert_rates(tmp_path, (6, 6))
    assert "learning rate" not in caplog.text


@pytest.mark.parametrize(
    ("schedule", "value", "message"),
    [
        ("cosine", -1, "`config.optimizer.schedule_steps` must not be negative. Received: -1"),
        (
            "constant",
            5,
            "`config.optimizer.schedule_steps` must be 0 where `config.optimizer.schedule` is not 'cosine'",
        ),
    ],
)
def test_what_is_refused(config, schedule, value, message):
    config = _extended(config, schedule_steps=value)
    config.optimizer.schedule = schedule
    with pytest.raises(ValueError, match=message):
        check_config(config)
