"""The best checkpoint by validation loss: saved by the run, read by commands, the same after any kill."""

import contextlib
import json
import os
import shutil
import threading

import pytest

from tests.trainer import runs, toy
from trainer import exits
from trainer.model import load_model
from trainer.storage import checkpoint_choice
from trainer.storage.checkpoints import Checkpoints
from trainer.storage.workdir import Workdir
from trainer.training.run import Run


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return toy.make_config_with_corpus(tmp_path_factory)


class _Kills:
    """Copies the folder of a run as a kill would leave it: before each change of a file and within each line."""

    def __init__(self, workdir, folder):
        self.copies = []
        self._workdir = workdir
        self._folder = folder
        self._lock = threading.Lock()  # The changes come from two threads.
        self._seen = set()

    @contextlib.contextmanager
    def taken(self, monkeypatch):
        with monkeypatch.context() as patched:
            for name in ("replace", "unlink", "write"):
                patched.setattr(os, name, self._before(getattr(os, name)))
            yield

    def _before(self, change):
        def changed(first, *arguments, **options):
            with self._lock:
                self._copy()
                if change.__name__ == "write" and len(arguments[0]) > 60:
                    arguments = (arguments[0][:60],)  # Only a part of a line; the writer has to write the rest.
                return change(first, *arguments, **options)

        return changed

    def _copy(self):
        files = {path for path in self._workdir.rglob("*") if path.is_file() and "tensorboard" not in path.parts}
        contents = {}
        for path in files:
            with contextlib.suppress(FileNotFoundError):  # The other thread's writer renames its own temporary file.
                contents[path.relative_to(self._workdir)] = path.read_bytes()
        state = frozenset(contents.items())
        if state not in self._seen:
            self._seen.add(state)
            self.copies.append(contents)

    def restored(self, contents):
        shutil.rmtree(self._folder, ignore_errors=True)
        for path, content in contents.items():
            (self._folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self._folder / path).write_bytes(content)
        return self._folder


@pytest.fixture(scope="module")
def undisturbed(config, tmp_path_factory):
    """The folder of a run, and copies of it as kills would have left it."""
    workdir = tmp_path_factory.mktemp("undisturbed")
    kills = _Kills(workdir, tmp_path_factory.mktemp("killed") / "run")
    with pytest.MonkeyPatch.context() as monkeypatch:
        toy.make_steps_free(monkeypatch)
        with kills.taken(monkeypatch):
            assert runs.run(config, workdir) == exits.DONE
    return workdir, kills


def test_the_newest_and_the_best(undisturbed):
    workdir, _ = undisturbed
    assert Checkpoints(workdir / "checkpoints").steps() == [8, 9, 12]


@pytest.mark.parametrize("every", [pytest.param(7, id="some"), pytest.param(1, id="all", marks=pytest.mark.slow)])
def test_killed_at_any_change_of_a_file(config, undisturbed, monkeypatch, every):
    workdir, kills = undisturbed
    toy.make_steps_free(monkeypatch)
    assert len(kills.copies) > 60
    for contents in kills.copies[::-every]:
        killed = kills.restored(contents)
        assert runs.run(config, killed) == exits.DONE
        assert runs.lines(killed) == runs.lines(workdir)
        assert runs.checkpoint_files(killed) == runs.checkpoint_files(workdir)


@pytest.mark.parametrize(("choice", "step"), [("newest", 12), ("best", 8), ("9", 9), ("00012", 12)])
def test_what_is_read(undisturbed, choice, step):
    assert checkpoint_choice.read(Workdir(undisturbed[0]), choice)[1]["step"] == step


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("latest", "`checkpoint` must be newest, best or the number of a step. Received: 'latest'"),
        ("-1", "`checkpoint` must be newest, best or the number of a step. Received: '-1'"),
        ("6", r"`checkpoint` must be a step that there is a checkpoint of \(8, 9, 12\). Received: 6"),
    ],
)
def test_what_is_not_there(undisturbed, choice, message):
    with pytest.raises(ValueError, match=message):
        checkpoint_choice.read(Workdir(undisturbed[0]), choice)


def test_a_run_without_evaluations(undisturbed, tmp_path):
    shutil.copytree(undisturbed[0], tmp_path / "run")
    (tmp_path / "run" / "metrics.jsonl").unlink()
    with pytest.raises(ValueError, match="`checkpoint` must not be best where no step with a checkpoint was evaluated"):
        checkpoint_choice.read(Workdir(tmp_path / "run"), "best")
    with pytest.raises(ValueError, match="`workdir` must hold a checkpoint. Received: .*none"):
        checkpoint_choice.read(Workdir(tmp_path / "none"))


def test_the_best_that_is_there(undisturbed, tmp_path, caplog):
    shutil.copytree(undisturbed[0], tmp_path / "run")
    (tmp_path / "run" / "checkpoints" / "step-00000008.safetensors").unlink()
    assert checkpoint_choice.read(Workdir(tmp_path / "run"), "best")[1]["step"] == 12
    assert "best validation loss is that of step 8, of which there is no checkpoint; 12 is used" in caplog.text


def test_the_metrics_are_durable_before_the_checkpoint_that_stands_for_them(undisturbed):
    """Whenever the run is killed, the lines up to a checkpoint are complete."""
    for contents in undisturbed[1].copies:
        by_name = {path.name: content for path, content in contents.items()}
        steps = [int(name[5:13]) for name in by_name if name.endswith(".safetensors")]
        there = [
            json.loads(line)["step"] for line in by_name.get("metrics.jsonl", b"").splitlines() if line[-1:] == b"}"
        ]
        assert max(there, default=0) >= max(steps, default=0)


@pytest.fixture
def by_accuracy(config, undisturbed, tmp_path):
    """The config of the run with another metric, and its folder, where the accuracy was best at step 12."""
    workdir = tmp_path / "run"
    shutil.copytree(undisturbed[0], workdir)
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        if line["split"] == "validation":
            line["accuracy"] = line["step"] / 100
    (workdir / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    config = config.copy_and_resolve_references()
    config.train.best_metric = "accuracy"
    return config, workdir


def test_the_metric_may_be_given_anew(by_accuracy, monkeypatch):
    """The loss was best at step 8, the accuracy at step 12."""
    config, workdir = by_accuracy
    assert load_model(config, Workdir(workdir), "best")[1] == 12
    toy.make_steps_free(monkeypatch)
    run = Run(config, workdir, "best")
    run.close()
    assert run.step == 12


def test_a_metric_that_no_line_has(config, undisturbed):
    config = config.copy_and_resolve_references()
    config.train.best_metric = "accuracy"
    message = "`checkpoint` must not be best where no step with a checkpoint was evaluated with a finite accuracy"
    with pytest.raises(ValueError, match=message):
        load_model(config, Workdir(undisturbed[0]), "best")
