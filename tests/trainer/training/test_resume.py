"""A run that is stopped, killed or finds damage goes on as if nothing had happened, bit for bit."""

import shutil

import pytest

from tests.trainer import runs
from trainer import exits
from trainer.storage import checkpoint_file
from trainer.storage.checkpoints import Checkpoints


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return runs.make_config(runs.write_corpus(tmp_path_factory.mktemp("data") / "corpus"), "lsh")


@pytest.fixture(scope="module")
def programs():
    return runs.Programs()


@pytest.fixture(scope="module")
def undisturbed(config, programs, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("undisturbed")
    assert programs.run(config, workdir) == exits.DONE
    return workdir


@pytest.fixture
def workdir(undisturbed, tmp_path):
    """A copy of the undisturbed run as if killed after step 10: its newest checkpoint is that of step 8."""
    workdir = tmp_path / "killed"
    shutil.copytree(undisturbed, workdir)
    (workdir / "checkpoints" / "step-00000012.safetensors").unlink()
    content = (workdir / "metrics.jsonl").read_text().splitlines(keepends=True)
    (workdir / "metrics.jsonl").write_text("".join(content[:11]))
    return workdir


def test_each_step_is_there_once(undisturbed):
    found = [(record["split"], record["step"]) for record in runs.lines(undisturbed)]
    expected = [("train", step) for step in range(1, 13)]
    expected.insert(6, ("validation", 6))
    assert found == [*expected, ("validation", 12)]
    assert Checkpoints(undisturbed / "checkpoints").steps() == [6, 8, 12]  # 6 as the best then, 4 is too old.


def test_stopped_on_request_and_started_again(config, programs, undisturbed, tmp_path):
    """The second start has nothing of the first one except its files."""
    assert programs.run(config, tmp_path, runs.StopAfter(8)) == exits.STOPPED
    assert Checkpoints(tmp_path / "checkpoints").steps()[-1] == 7
    assert runs.run(config, tmp_path) == exits.DONE
    runs.assert_same(tmp_path, undisturbed)


def test_killed_in_the_middle_of_a_metrics_line_and_of_a_checkpoint(config, programs, undisturbed, workdir):
    with (workdir / "metrics.jsonl").open("a") as file:
        file.write('{"split": "train", "step": 11, "lo')
    expected = (undisturbed / "checkpoints" / "step-00000012.safetensors").read_bytes()
    leftover = workdir / "checkpoints" / "step-00000012.safetensors.4711.partial"
    leftover.write_bytes(expected[: len(expected) // 2])
    programs.run(config, workdir)
    runs.assert_same(workdir, undisturbed)
    assert not leftover.exists()


@pytest.mark.parametrize(
    "damage", [lambda content: content[:1000], lambda content: content[:-9] + b"\x00" + content[-8:]]
)
def test_a_damaged_newest_checkpoint(config, programs, undisturbed, workdir, damage, caplog):
    path = workdir / "checkpoints" / "step-00000008.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    programs.run(config, workdir)
    assert "Damaged checkpoint, the one before it is used" in caplog.text
    runs.assert_same(workdir, undisturbed)


def test_killed_between_the_checkpoint_and_the_evaluation_of_the_last_step(config, programs, undisturbed, tmp_path):
    workdir = tmp_path / "killed"
    shutil.copytree(undisturbed, workdir)
    content = (workdir / "metrics.jsonl").read_text().splitlines(keepends=True)
    (workdir / "metrics.jsonl").write_text("".join(content[:-1]) + content[-1][:20])
    programs.run(config, workdir)
    runs.assert_same(workdir, undisturbed)


def test_a_finished_run_is_left_unchanged(config, programs, undisturbed, tmp_path):
    workdir = tmp_path / "again"
    shutil.copytree(undisturbed, workdir)
    programs.run(config, workdir)
    runs.assert_same(workdir, undisturbed)


def test_the_state_is_complete(undisturbed):
    arrays, description = checkpoint_file.read(undisturbed / "checkpoints" / "step-00000012.safetensors")
    assert description["step"] == 12
    assert description["seed"] == 0
    assert description["examples_seen"] == 12 * 4
    assert arrays["optimizer/0"] == 12  # Its count of updates.
    weights = [name for name in arrays if name.startswith("model/") and "seed_generator" not in name]
    trained = [name for name in weights if not name.endswith("rotations")]
    assert len(weights) - len(trained) == 1
    assert sum(name.startswith("optimizer/") for name in arrays) == 1 + 2 * len(trained)
    assert any("seed_generator" in name for name in arrays)
