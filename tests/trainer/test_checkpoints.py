"""The folder of checkpoints: the newest few, and how damaged ones are passed over."""

import numpy as np
import pytest

from trainer.checkpoints import Checkpoints


def _save(checkpoints, *steps):
    for step in steps:
        checkpoints.save(step, {"weight": np.full([100], step, np.float32)}, {"seed": 1})


def _path(checkpoints, step):
    return checkpoints.folder / f"step-{step:08d}.safetensors"


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "checkpoints", keep=2)


def test_none_at_first(checkpoints):
    assert checkpoints.steps() == []
    assert checkpoints.newest() is None


def test_the_newest_few_are_kept(checkpoints):
    _save(checkpoints, 5, 10, 100)
    assert checkpoints.steps() == [10, 100]
    arrays, description = checkpoints.newest()
    assert description == {"step": 100, "seed": 1}
    np.testing.assert_array_equal(arrays["weight"], np.full([100], 100))


@pytest.mark.parametrize("damage", [lambda kept: kept[:-50], lambda kept: kept[:-1] + b"\x01", lambda _: b""])
def test_a_damaged_one_is_reported_and_passed_over(checkpoints, damage, caplog):
    _save(checkpoints, 1, 2)
    path = _path(checkpoints, 2)
    path.write_bytes(damage(path.read_bytes()))
    _, description = checkpoints.newest()
    assert description["step"] == 1
    assert checkpoints.steps() == [1, 2]
    assert f"Damaged checkpoint, the one before it is used: {path}" in caplog.text


def test_a_damaged_one_that_is_set_aside_does_not_push_out_good_ones(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.keep = 2
    _save(checkpoints, 1, 20)
    checkpoints.keep = 1
    _path(checkpoints, 20).write_bytes(b"")
    assert checkpoints.newest(set_aside=True)[1]["step"] == 1
    _save(checkpoints, 2)
    assert checkpoints.steps() == [2]
    assert checkpoints.newest()[1]["step"] == 2


def test_only_damaged_ones(checkpoints):
    _save(checkpoints, 1, 2)
    for step in (1, 2):
        _path(checkpoints, step).write_bytes(b"x")
    with pytest.raises(ValueError, match=r"`workdir` must hold a checkpoint that can be read.*Received: 2 damaged"):
        checkpoints.newest(set_aside=True)
    assert checkpoints.steps() == [1, 2]


def test_a_half_written_file_is_no_checkpoint_and_goes_with_the_next_save(checkpoints):
    _save(checkpoints, 1)
    leftover = checkpoints.folder / "step-00000002.safetensors.4711.partial"
    leftover.write_bytes(b"half")
    assert checkpoints.newest()[1]["step"] == 1
    _save(checkpoints, 2)
    assert not leftover.exists()
