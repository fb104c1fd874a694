"""A run goes back to an earlier checkpoint: no step is there twice, and nothing is lost, whenever it is killed."""

import json
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tests.trainer import runs, toy
from trainer import exits
from trainer.storage import checkpoint_file
from trainer.storage.going_back import GoingBack
from trainer.storage.workdir import Workdir
from trainer.training.run import Run

STEPS = (4, 8, 9, 12)


def _write_run(root):
    """Writes the files of a run without running it."""
    (root / "checkpoints").mkdir(parents=True)
    for step in STEPS:
        checkpoint_file.write(root / "checkpoints" / f"step-{step:08d}.safetensors", {}, {"step": step})
    (root / "checkpoints" / "step-00000010.safetensors.damaged").write_text("damaged")
    records = [{"split": "train", "step": step} for step in range(1, 13)]
    records[8:8] = [{"split": "validation", "step": 8, "loss": 1.0}]
    text = "".join(json.dumps(record) + "\n" for record in records)
    (root / "metrics.jsonl").write_text(f'{text}{{"split": "train", "st')
    (root / "config.json").write_text("{}")
    (root / "report.json").write_text('{"step": 12}')
    (root / "sample.txt").write_text("a sample of step 12")
    return Workdir(root)


def _contents(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != ".lock" and "tensorboard" not in path.parts
    }


def _steps(path):
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


def _go_back(workdir, checkpoint, step, same_config=True):
    back = GoingBack(workdir, checkpoint, same_config)
    return back.checkpoint, back.carry_out(step)


def test_what_is_set_aside_and_what_stays(tmp_path):
    workdir = _write_run(tmp_path)
    before = _contents(tmp_path)
    read, said = _go_back(workdir, "0008", 8)
    assert read == "8"
    assert (
        said
        == f"Went back to step 8: 2 checkpoints and 4 metrics lines of later steps are in {tmp_path}/before_8_1 now."
    )
    assert workdir.checkpoints().steps() == [4, 8]
    assert _steps(tmp_path / "metrics.jsonl") == [1, 2, 3, 4, 5, 6, 7, 8, 8]
    aside = tmp_path / "before_8_1"
    assert _steps(aside / "metrics.jsonl") == [9, 10, 11, 12]
    assert Workdir(aside).checkpoints().steps() == [9, 12]
    moved = [f"checkpoints/step-{step:08d}.safetensors" for step in (9, 12)]
    for name in (*moved, "checkpoints/step-00000010.safetensors.damaged", "report.json", "sample.txt", "config.json"):
        assert (aside / name).read_bytes() == before[name]
        assert name == "config.json" or not (tmp_path / name).exists()


def test_a_later_time_has_a_folder_of_its_own(tmp_path):
    workdir = _write_run(tmp_path)
    _go_back(workdir, "8", 8)
    shutil.copy(tmp_path / "before_8_1" / "checkpoints" / "step-00000012.safetensors", tmp_path / "checkpoints")
    _go_back(workdir, "8", 8, same_config=False)
    assert Workdir(tmp_path / "before_8_2").checkpoints().steps() == [12]
    _go_back(workdir, "4", 4)
    assert Workdir(tmp_path / "before_4_1").checkpoints().steps() == [8]


def test_nothing_after_it(tmp_path):
    workdir = _write_run(tmp_path)
    (tmp_path / "report.json").unlink()
    before = _contents(tmp_path)
    assert _go_back(workdir, "12", 12) == ("12", "Went back to step 12; there was nothing after it.")
    (tmp_path / "going_back.json").unlink()
    assert _contents(tmp_path) == before


def test_the_newest_changes_nothing(tmp_path):
    workdir = _write_run(tmp_path)
    before = _contents(tmp_path)
    assert _go_back(workdir, "newest", 12) == ("newest", None)
    assert _contents(tmp_path) == before


def test_the_same_command_goes_on_until_the_run_is_another_one(tmp_path):
    """After a stop, by SIGTERM for instance, the same command must go on and not go back again."""
    workdir = _write_run(tmp_path)
    assert _go_back(workdir, "best", 8)[0] == "best"
    assert _go_back(workdir, "best", 11) == (
        "newest",
        "This command went back before (--checkpoint=best): it goes on after step 11.",
    )
    assert GoingBack(workdir, "best", same_config=False).checkpoint == "best"
    assert GoingBack(workdir, "4", same_config=True).checkpoint == "4"
    _go_back(workdir, "newest", 11)
    assert GoingBack(workdir, "best", same_config=True).checkpoint == "best"


class _Killed(BaseException):
    pass


@pytest.mark.parametrize("flag", ["8", "newest"])
def test_killed_before_any_change_of_a_file(tmp_path, monkeypatch, flag):
    """Started again with the flag or without, the folder ends as if nothing had happened."""
    _go_back(_write_run(tmp_path / "undisturbed"), "8", 8)
    expected = _contents(tmp_path / "undisturbed")
    changes = 0
    for last in range(100):
        root = tmp_path / str(last)
        workdir = _write_run(root)
        left = [last]

        def counted(*arguments, replace=os.replace, left=left):
            left[0] -= 1
            if left[0] < 0:
                raise _Killed
            return replace(*arguments)

        with monkeypatch.context() as patched:
            patched.setattr(os, "replace", counted)
            try:
                _go_back(workdir, "8", 8)
                break
            except _Killed:
                changes += 1
        again = GoingBack(workdir, flag, same_config=True)
        if last == 0:  # Before the note was written: nothing has happened yet.
            assert again.checkpoint == flag
            continue
        assert again.checkpoint == "newest"
        assert workdir.checkpoints().steps()[-1] == 8
        assert _contents(root) == expected
    assert changes >= 8


@pytest.mark.parametrize(
    "note", ["{", "[]", '{"checkpoint": "8", "step": 8, "moved": false, "folder": "../other"}', '{"step": 8}']
)
def test_a_note_that_someone_has_changed(tmp_path, note):
    workdir = _write_run(tmp_path)
    (tmp_path / "going_back.json").write_text(note)
    before = _contents(tmp_path)
    with pytest.raises(ValueError, match="going_back.json must be as `--checkpoint` wrote it; .* Received: "):
        GoingBack(workdir, "newest", same_config=True)
    assert _contents(tmp_path) == before


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return toy.make_config_with_corpus(tmp_path_factory)


@pytest.fixture(scope="module")
def undisturbed(config, tmp_path_factory):
    return toy.run_to_the_end(config, tmp_path_factory.mktemp("undisturbed"))


@pytest.fixture
def workdir(undisturbed, tmp_path, monkeypatch):
    toy.make_steps_free(monkeypatch)
    shutil.copytree(undisturbed, tmp_path / "run")
    return tmp_path / "run"


def _event_steps(folder):
    return [
        event.step
        for path in sorted(folder.glob("events.out.tfevents.*"))
        for event in tf.compat.v1.train.summary_iterator(str(path))
        if any(value.tag == "loss" for value in event.summary.value)
    ]


def test_the_run_goes_on_from_there(config, undisturbed, workdir, capsys):
    assert runs.run(config, workdir, checkpoint="best") == exits.DONE
    assert "Went back to step 8: 2 checkpoints and 6 metrics lines of later steps are in" in capsys.readouterr().out
    runs.assert_same(workdir, undisturbed)
    assert runs.checkpoint_files(workdir) == runs.checkpoint_files(undisturbed)
    assert _event_steps(workdir / "tensorboard" / "train") == list(range(1, 13))
    assert _event_steps(workdir / "tensorboard" / "validation") == [2, 4, 6, 8, 10, 12]
    assert runs.lines(workdir / "before_8_1") == [line for line in runs.lines(undisturbed) if line["step"] > 8]
    aside = runs.checkpoint_files(workdir / "before_8_1")
    assert aside == {name: runs.checkpoint_files(undisturbed)[name] for name in aside}
    assert len(aside) == 2


def test_another_config_from_there(config, undisturbed, workdir, capsys):
    config = config.copy_and_resolve_references()
    config.optimizer.learning_rate *= 0.5
    assert runs.run(config, workdir, runs.StopAfter(3), checkpoint="8") == exits.STOPPED
    assert capsys.readouterr().out.count("Went back to step 8") == 1
    assert runs.run(config, workdir, checkpoint="8") == exits.DONE, "the same command goes on"
    said = capsys.readouterr().out
    assert "This command went back before (--checkpoint=8): it goes on after step" in said
    assert [path.name for path in workdir.glob("before_*")] == ["before_8_1"]
    lines, before = runs.lines(workdir), runs.lines(undisturbed)
    assert [line["step"] for line in lines] == [line["step"] for line in before]
    halved = [
        line["learning_rate"] / old["learning_rate"]
        for line, old in zip(lines, before, strict=True)
        if "learning_rate" in line
    ]
    np.testing.assert_allclose(halved, [1.0] * 8 + [0.5] * 4)


@pytest.mark.slow
def test_a_run_that_is_done_goes_back_anew(config, workdir):
    for number in (1, 2):
        run = Run(config, workdir, "8")
        assert run.step == 8, number
        run.step = 12
        run.record("train", loss=1.0)
        run.end()
        run.close()
    assert sorted(path.name for path in workdir.glob("before_*")) == ["before_8_1", "before_8_2"]


@pytest.mark.parametrize(
    ("checkpoint", "message"),
    [
        ("7", r"`checkpoint` must be a step that there is a checkpoint of \(8, 9, 12\). Received: 7"),
        ("last", "`checkpoint` must be newest, best or the number of a step. Received: 'last'"),
    ],
)
def test_a_step_that_there_is_not(config, workdir, checkpoint, message):
    before = _contents(workdir)
    with pytest.raises(ValueError, match=message):
        Run(config, workdir, checkpoint)
    assert _contents(workdir) == before


def test_a_damaged_one(config, workdir):
    path = workdir / "checkpoints" / "step-00000008.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    before = _contents(workdir)
    with pytest.raises(ValueError, match="`checkpoint` must not be a damaged one. Received: .*step-00000008"):
        Run(config, workdir, "best")
    assert _contents(workdir) == before
