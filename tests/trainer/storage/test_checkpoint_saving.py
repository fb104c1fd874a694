"""Checkpoints that a thread writes."""

import threading

import numpy as np
import pytest

from trainer.storage import checkpoint_file
from trainer.storage.checkpoint_saving import CheckpointWriter
from trainer.storage.checkpoints import Checkpoints

ARRAYS = {"weight": np.arange(5, dtype=np.float32)}


@pytest.fixture
def writer(tmp_path):
    return CheckpointWriter(Checkpoints(tmp_path / "checkpoints", keep=2))


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


def test_the_caller_goes_on_while_it_is_written(writer, gate, tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    assert writer.step is None
    writer.begin(ARRAYS, {"step": 3}, {})
    assert writer.busy
    assert writer.step == 3
    assert checkpoints.newest() is None
    with pytest.raises(RuntimeError, match="A checkpoint must be waited for before the next. Received: that of 3"):
        writer.begin(ARRAYS, {"step": 4}, {})
    gate.set()
    assert writer.wait() is None
    assert not writer.busy
    assert writer.step == 3
    arrays, description = checkpoints.newest()
    assert description == {"step": 3}
    np.testing.assert_array_equal(arrays["weight"], ARRAYS["weight"])


def test_nothing_to_wait_for(writer):
    assert writer.wait() is None
    assert not writer.busy


def test_a_full_disk_is_handed_over_once(writer, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint_file, "write", full)
        writer.begin(ARRAYS, {"step": 3}, {})
        assert "No space left" in str(writer.wait())
    assert writer.step is None
    assert writer.wait() is None
    writer.begin(ARRAYS, {"step": 3}, {})
    assert writer.wait() is None
    assert writer.step == 3


def test_any_other_error_is_raised_where_it_is_waited_for(writer):
    writer.begin({"weight": np.array(["text"])}, {"step": 3}, {})
    with pytest.raises(ValueError, match="`arrays` must be of types that the format has"):
        writer.wait()
    assert writer.wait() is None
