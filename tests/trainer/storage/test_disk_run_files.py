"""Checkpoints that a thread writes while the run goes on."""

import threading

import numpy as np
import pytest

from configs import tiny
from trainer import exits
from trainer.storage import checkpoint_file
from trainer.storage.checkpoints import Checkpoints
from trainer.storage.disk_run_files import DiskRunFiles
from trainer.storage.workdir import Workdir

ARRAYS = {"weight": np.arange(5, dtype=np.float32)}


class State:
    """A state to save, which tests change."""

    def __init__(self):
        self.arrays, self.step = ARRAYS, 0

    def capture(self):
        return self.arrays, {"step": self.step}


@pytest.fixture
def state():
    return State()


@pytest.fixture
def files(tmp_path, state):
    workdir = Workdir(tmp_path)
    workdir.lock()
    config = tiny.get_config()
    config.train.keep_checkpoints, config.train.checkpoint_every = 2, 4
    yield DiskRunFiles(workdir, config, 0, state.capture)
    workdir.unlock()


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "checkpoints")


@pytest.fixture
def gate(monkeypatch):
    """Delays writing until it is set."""
    gate, write = threading.Event(), checkpoint_file.write

    def held_up(*arguments):
        assert gate.wait(60)
        write(*arguments)

    monkeypatch.setattr(checkpoint_file, "write", held_up)
    yield gate
    gate.set()


def _full(*arguments):
    raise OSError(28, "No space left on device")


def test_the_caller_goes_on_while_it_is_written(files, state, checkpoints, gate, capsys):
    state.step = 3
    files.save(3)
    files.save(3)  # It is being written already.
    assert not files.look(3)
    assert checkpoints.newest() is None
    gate.set()
    files.finish(3)
    arrays, description = checkpoints.newest()
    assert description == {"step": 3}
    np.testing.assert_array_equal(arrays["weight"], ARRAYS["weight"])
    for thread in threading.enumerate():
        if thread.name.startswith("checkpoint-writer"):
            thread.join(60)
            assert not thread.is_alive()
    files.close(3)
    assert capsys.readouterr().err == ""


def test_the_next_one_waits_for_the_one_before(files, state, checkpoints, gate):
    state.step = 3
    files.save(3)
    threading.Timer(0.05, gate.set).start()
    state.step = 4
    files.save(4)
    assert 3 in checkpoints.steps()
    files.close(4)
    assert checkpoints.steps() == [3, 4]


@pytest.mark.parametrize("has_started", [True, False])
def test_an_interrupt_while_the_thread_starts(files, state, checkpoints, gate, monkeypatch, has_started):
    start = threading.Thread.start

    def interrupted(thread):
        if has_started:
            start(thread)
        raise KeyboardInterrupt

    state.step = 3
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            files.save(3)
    threading.Timer(0.05, gate.set).start()
    files.finish(3)
    assert checkpoints.steps() == [3]


def test_nothing_to_wait_for(files, capsys):
    assert not files.look(0)
    files.prune(0)
    files.close(0)
    assert capsys.readouterr().err == ""


def test_a_full_disk_is_reported_once(files, state, checkpoints, monkeypatch, capsys):
    with monkeypatch.context() as patched:
        patched.setattr(checkpoint_file, "write", _full)
        files.save(3)
        files.prune(3)
    assert capsys.readouterr().err == (
        "The checkpoint of step 3 could not be written: [Errno 28] No space left on device. There is no checkpoint "
        "yet. The run goes on and tries again at step 4 at the latest.\n"
    )
    files.prune(3)
    assert not files.look(3)
    state.step = 3
    files.finish(3)
    assert capsys.readouterr().err == ""
    assert checkpoints.steps() == [3]


def test_a_full_disk_where_the_run_ends(files, monkeypatch):
    monkeypatch.setattr(checkpoint_file, "write", _full)
    with pytest.raises(exits.NotSaved, match=r"The checkpoint of step 3 could not be written: .* There is no checkpoi"):
        files.finish(3)


def test_a_state_that_is_not_finite_ends_the_run(files, state, checkpoints):
    files.save(0)
    state.arrays = {"weight": np.array([1.0, np.nan])}
    files.save(3)
    files.prune(3)
    assert files.look(3)
    files.save(4)
    with pytest.raises(exits.NotFinite, match=r"1 of 1 arrays are not finite \(weight\) in the state after step 3, .*"):
        files.finish(4)
    assert checkpoints.steps() == [0]


def test_any_other_error_is_raised_where_it_is_waited_for(files, state):
    state.arrays = {"weight": np.array(["text"])}
    files.save(3)
    with pytest.raises(ValueError, match="`arrays` must be of types that the format has"):
        files.prune(3)
    files.close(3)
