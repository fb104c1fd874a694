"""The file of a checkpoint: it reads back what was written, and notices damage."""

import ml_dtypes
import numpy as np
import pytest

from trainer.storage import checkpoint_file

ARRAYS = {
    "b/matrix": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a/count": np.array(7, np.int64),
    "seed": np.array([1, 2], np.uint32),
    "flags": np.array([True, False, True]),
    "half": np.array([1.5, -2.0], ml_dtypes.bfloat16),
    "empty": np.zeros([0, 3], np.float32),
    "transposed": np.arange(6, dtype=np.float64).reshape(2, 3).T,
}
DESCRIPTION = {"step": 3, "data": {"train": "ab"}, "text": "grün\n"}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "checkpoint"
    checkpoint_file.write(path, ARRAYS, DESCRIPTION)
    return path


def test_all_that_was_written_comes_back(path):
    arrays, description = checkpoint_file.read(path)
    assert description == DESCRIPTION
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)


def test_no_other_file_is_left(path):
    assert list(path.parent.iterdir()) == [path]


def test_every_cut_is_noticed(path):
    content = path.read_bytes()
    for length in {*range(0, len(content), 7), len(content) - 1}:
        path.write_bytes(content[:length])
        with pytest.raises(checkpoint_file.DamagedCheckpoint):
            checkpoint_file.read(path)


def test_every_flipped_byte_is_noticed_or_harmless(path):
    content = path.read_bytes()
    noticed = 0
    for position in range(len(content)):
        path.write_bytes(content[:position] + bytes([content[position] ^ 0x10]) + content[position + 1 :])
        try:
            arrays, description = checkpoint_file.read(path)
        except checkpoint_file.DamagedCheckpoint:
            noticed += 1
            continue
        assert description == DESCRIPTION
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(arrays[name], array)
    assert noticed >= len(content) - 8  # The spaces that align the header mean nothing.


def test_appended_bytes_are_noticed(path):
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(checkpoint_file.DamagedCheckpoint):
        checkpoint_file.read(path)


def test_a_failing_write_leaves_the_file_as_it_was(path, monkeypatch):
    before = path.read_bytes()

    def full_disk(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        checkpoint_file.write(path, {"other": np.zeros(3, np.float32)}, {})
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
