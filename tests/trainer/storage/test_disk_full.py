"""A full disk: the files that remain, the messages, the end of the run, and how it goes on when there is space."""

import errno
import os
import re
import shutil

import pytest

from tests.trainer import runs, toy
from tests.trainer.full_disk import FullDisk
from trainer import exits
from trainer.results import final_report
from trainer.storage.checkpoints import Checkpoints
from trainer.training.run import Run

STEP_6 = r"step-00000006\.safetensors"
STEP_12 = r"step-00000012\.safetensors"


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return toy.make_config_with_corpus(tmp_path_factory)


@pytest.fixture(autouse=True)
def _steps_that_are_free(monkeypatch):
    toy.make_steps_free(monkeypatch)


@pytest.fixture(scope="module")
def undisturbed(config, tmp_path_factory):
    return toy.run_to_the_end(config, tmp_path_factory.mktemp("undisturbed"))


def _assert_ends_as_undisturbed(config, workdir, undisturbed):
    assert runs.run(config, workdir) == exits.DONE
    runs.assert_same(workdir, undisturbed)
    assert runs.checkpoint_files(workdir) == runs.checkpoint_files(undisturbed)


def test_a_checkpoint_on_the_way_is_passed_over(config, undisturbed, tmp_path, monkeypatch, capsys):
    full = FullDisk(monkeypatch, STEP_6)
    assert runs.run(config, tmp_path) == exits.DONE
    assert full.failed == ["step-00000006.safetensors"]
    said = capsys.readouterr().err
    assert re.fullmatch(
        r"The checkpoint of step 6 could not be written: \[Errno 28\] No space left on device\. The checkpoint of step "
        r"4 stands\. The run goes on and tries again at step 9 at the latest\.\n",
        said,
    )
    assert runs.checkpoint_files(tmp_path) == runs.checkpoint_files(undisturbed)
    runs.assert_same(tmp_path, undisturbed)


def test_the_last_one(config, undisturbed, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patched:
        full = FullDisk(patched, STEP_12)
        assert runs.run(config, tmp_path) == exits.NOT_SAVED
    assert len(full.failed) == 2, "it must be tried once more at the end"
    captured = capsys.readouterr()
    assert re.search(
        r"The checkpoint of step 12 could not be written: \[Errno 28\] .*\. The checkpoint of step 9 stands\. The run "
        r"ends; the same command goes on from there once there is room\.\n$",
        captured.err,
    )
    assert "Done" not in captured.out
    assert sorted(runs.checkpoint_files(tmp_path)) == [f"step-{step:08d}.safetensors" for step in (8, 9)]
    assert Checkpoints(tmp_path / "checkpoints").newest()[1]["step"] == 9
    _assert_ends_as_undisturbed(config, tmp_path, undisturbed)


def test_space_at_the_second_try(config, undisturbed, tmp_path, monkeypatch):
    full = FullDisk(monkeypatch, STEP_12, times=1)
    assert runs.run(config, tmp_path) == exits.DONE
    assert len(full.failed) == 1
    runs.assert_same(tmp_path, undisturbed)
    assert runs.checkpoint_files(tmp_path) == runs.checkpoint_files(undisturbed)


def test_a_stop(config, undisturbed, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patched:
        FullDisk(patched, r"step-00000007\.safetensors")
        assert runs.run(config, tmp_path, runs.StopAfter(10)) == exits.NOT_SAVED
    captured = capsys.readouterr()
    assert re.search(
        r"The checkpoint of step 7 could not .* The checkpoint of step 6 stands\. The run ends", captured.err
    )
    assert "Stopped at" not in captured.out
    _assert_ends_as_undisturbed(config, tmp_path, undisturbed)


def test_no_space_at_all(config, tmp_path, monkeypatch, capsys):
    FullDisk(monkeypatch, r"step-.*")
    assert runs.run(config, tmp_path) == exits.NOT_SAVED
    said = capsys.readouterr().err
    assert "The checkpoint of step 0 could not be written: [Errno 28] No space left on device. There is no" in said
    assert "There is no checkpoint yet. The run ends; the same command begins anew once there is room." in said
    assert runs.checkpoint_files(tmp_path) == {}


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_the_metrics(config, undisturbed, tmp_path, monkeypatch, capsys, call):
    original = getattr(os, call)
    calls = []

    def full(descriptor, *arguments):
        if not os.readlink(f"/proc/self/fd/{descriptor}").endswith("metrics.jsonl"):
            return original(descriptor, *arguments)
        calls.append(descriptor)
        if len(calls) < 4:
            return original(descriptor, *arguments)
        if len(calls) == 4 and arguments:
            return original(descriptor, arguments[0][:11])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, call, full)
        assert runs.run(config, tmp_path) == exits.NOT_SAVED
    what, stands = ("A metrics line of step 3", 2) if call == "write" else ("The metrics", 3)
    assert re.search(
        rf"{what} could not be written: \[Errno 28\] No space left on device\. The checkpoint of step {stands} "
        r"stands\. The run ends; the same command goes on from there once there is room\.\n$",
        capsys.readouterr().err,
    )
    _assert_ends_as_undisturbed(config, tmp_path, undisturbed)


def test_event_files_are_no_reason_to_end(config, undisturbed, tmp_path, caplog):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "tensorboard").write_text("a file where the folder should be")
    assert runs.run(config, tmp_path / "run") == exits.DONE
    assert caplog.text.count("The event files could not be written, TensorBoard will lack steps: ") == 1
    runs.assert_same(tmp_path / "run", undisturbed)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), exits.NotSaved("No space left")])
def test_the_final_report(config, undisturbed, tmp_path, monkeypatch, capsys, error):
    def full(run):
        raise error

    config = config.copy_and_resolve_references()
    config.report = True
    shutil.copytree(undisturbed, tmp_path / "run")
    monkeypatch.setattr(final_report, "_make_report", full)
    run = Run(config, tmp_path / "run")
    try:
        assert final_report.close(run, exits.StopRequest()) == exits.NOT_SAVED
    finally:
        run.close()
    assert re.search("The final report could not be made: .*No space left", capsys.readouterr().err)


def test_a_crash_waits_for_the_checkpoint_under_way(config, tmp_path, monkeypatch):
    """The folder is unlocked only when nobody writes to it."""

    def crash(run):
        raise RuntimeError("crash")

    monkeypatch.setattr("trainer.training.run.Run.evaluate", crash)
    with pytest.raises(RuntimeError, match="crash"):
        runs.run(config, tmp_path)
    assert list(runs.checkpoint_files(tmp_path)) == ["step-00000000.safetensors"]
