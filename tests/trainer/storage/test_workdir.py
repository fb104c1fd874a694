"""The folder of a run: configs that may and may not go on in it, and its lock."""

import fcntl
import os
import re
import shutil

import pytest

from tests.trainer import runs, toy
from trainer import config as configs
from trainer.storage.workdir import Workdir
from trainer.training.run import Run


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return runs.write_corpus(tmp_path_factory.mktemp("data") / "corpus")


@pytest.fixture(scope="module")
def finished(corpus, tmp_path_factory):
    config = toy.make_toy_config(runs.make_config(corpus))
    config.train.steps = 2
    return toy.run_to_the_end(config, tmp_path_factory.mktemp("finished"))


def _contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("model.hidden_dim", 32, "config.model.hidden_dim was 16 and is 32"),
        ("model.chunk_length", 16, "config.model.chunk_length was 8 and is 16"),
        ("model.positions", "learned", "config.model.positions was 'axial' and is 'learned'"),
        ("train.seed", 1, "config.train.seed was 0 and is 1"),
        ("train.batch_size", 8, "config.train.batch_size was 4 and is 8"),
        ("data.train_windows", 3, "config.data.train_windows was 0 and is 3"),
        ("optimizer.name", "adafactor", "config.optimizer.name was 'adam' and is 'adafactor'"),
        ("train.steps", 1, "`config.train.steps` must be at least the 2 steps that .* has done. Received: 1"),
    ],
)
def test_the_folder_of_another_run(corpus, finished, field, value, message):
    before = _contents(finished)
    config = runs.make_config(corpus)
    config.train.steps = 2
    runs.set_field(config, field, value)
    with pytest.raises(ValueError, match=message):
        Run(config, finished)
    assert _contents(finished) == before


def test_the_checkpoint_of_another_model_even_without_its_config(corpus, finished, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(finished, workdir)
    (workdir / "config.json").unlink()
    before = _contents(workdir)
    config = runs.make_config(corpus)
    config.train.steps, config.model.hidden_dim = 2, 32
    with pytest.raises(ValueError, match="hold a checkpoint of this model.*embeddings is float32.* here and float32"):
        Run(config, workdir)
    assert _contents(workdir) == before


def test_other_documents(finished, tmp_path):
    other = runs.write_corpus(tmp_path / "other")
    (other / "0.txt").write_text("a text that was not there")
    config = runs.make_config(other)
    config.train.steps = 2
    with pytest.raises(ValueError, match="`config.data` must give the same .* documents that the run in `workdir`"):
        Run(config, finished)


def test_what_may_change_is_said_and_saved(corpus, finished, tmp_path, caplog):
    workdir = tmp_path / "run"
    shutil.copytree(finished, workdir)
    config = runs.make_config(corpus)
    config.train.steps = 3
    run = Run(config, workdir)
    run.close()
    assert "config.train.steps was 2 before and is 3 now" in caplog.text
    assert re.search(r'"steps": 3', (workdir / "config.json").read_text())


def test_an_argument_of_the_model_that_is_left_out_is_at_its_default(corpus, finished, tmp_path, caplog):
    workdir = tmp_path / "run"
    shutil.copytree(finished, workdir)
    config = runs.make_config(corpus)
    config.train.steps, config.model.positions, config.model.gated, config.model.axial_shape = 2, "axial", False, None
    Run(config, workdir).close()
    config = runs.make_config(corpus)
    config.train.steps = 2
    Run(config, workdir).close()
    assert "config.model" not in caplog.text


def test_the_lock_of_a_refused_run_is_that_of_nobody(tmp_path):
    refused, other, third = (Workdir(tmp_path / "a" / "run") for _ in range(3))
    refused.lock()
    with pytest.raises(ValueError, match="`workdir` must not be in use by another run"):
        other.lock()
    waiting = os.open(refused.root / ".lock", os.O_RDWR)
    refused.abandon()
    assert not list(tmp_path.iterdir())
    # A lock on the removed file is worth nothing.
    fcntl.flock(waiting, fcntl.LOCK_EX | fcntl.LOCK_NB)
    other.lock()
    os.close(waiting)
    (other.root / "kept").touch()
    other.abandon()
    assert [path.name for path in other.root.iterdir()] == ["kept"]
    third.lock()
    third.unlock()
    assert (third.root / ".lock").exists()


def test_a_folder_that_is_in_use(corpus, finished, tmp_path):
    config = runs.make_config(corpus)
    run = Run(config, tmp_path)
    try:
        with pytest.raises(ValueError, match=f"`workdir` must not be in use by another run. Received: {tmp_path}"):
            Run(config, tmp_path)
    finally:
        run.close()


def test_what_a_killed_process_left_goes_with_the_next_lock(tmp_path):
    (tmp_path / "config.json.4711.partial").mkdir()
    workdir = Workdir(tmp_path)
    workdir.lock()
    workdir.unlock()
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_folder_of_data_that_is_not_read(corpus, finished, tmp_path, caplog):
    config = runs.make_config(corpus)
    config.train.steps, config.data.data_dir = 2, str(tmp_path)
    readers = "'tfds' or 'labelled_text' or 'pairs'"
    rule = f"`config.data.data_dir` must be '' where `config.data.name` is 'text': it is for {readers}"
    with pytest.raises(ValueError, match=f"{rule}.* Received: '{tmp_path}'"):
        Run(config, tmp_path / "new")
    assert not list(tmp_path.iterdir())
    workdir = tmp_path / "run"
    shutil.copytree(finished, workdir)
    configs.write_config(config, workdir / "config.json")  # As runs of earlier versions have it.
    Run(configs.read_config(workdir / "config.json"), workdir).close()
    assert caplog.text.count(rule) == 1
    config.data.data_dir = "/other"
    with pytest.raises(ValueError, match=f"{rule}. Received: '/other'"):
        Run(config, workdir)
