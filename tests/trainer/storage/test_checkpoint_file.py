"""The file of a checkpoint: it reads back what was written, and notices damage."""

import errno
import hashlib
import json
import os
import pathlib
import stat
import struct
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
import safetensors

from trainer.storage import checkpoint_file

ROOT = pathlib.Path(__file__).resolve().parents[3]
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


_TYPES = {"float32": "F32", "int64": "I64", "uint32": "U32", "bool": "BOOL", "bfloat16": "BF16", "float64": "F64"}


def _write_as_before(path, arrays, description):
    """Writes the format of earlier versions: two entries in the metadata, arrays in their sequence, not aligned."""
    header, data = {}, b""
    for name, array in arrays.items():
        content = array.tobytes()
        offsets = [len(data), len(data) + len(content)]
        header[name] = {"dtype": _TYPES[array.dtype.name], "shape": list(array.shape), "data_offsets": offsets}
        data += content
    header["__metadata__"] = {"description": json.dumps(description, sort_keys=True)}
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    header["__metadata__"]["sha256"] = hashlib.sha256(text + data).hexdigest()
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


@pytest.fixture(params=[checkpoint_file.write, _write_as_before], ids=["now", "before"])
def path(tmp_path, request):
    path = tmp_path / "checkpoint"
    request.param(path, ARRAYS, DESCRIPTION)
    return path


def test_all_that_was_written_comes_back(path):
    arrays, description = checkpoint_file.read(path)
    assert description == DESCRIPTION
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)


def test_the_package_reads_it(path):
    with safetensors.safe_open(path, framework="numpy") as file:
        np.testing.assert_array_equal(file.get_tensor("b/matrix"), ARRAYS["b/matrix"])


def test_the_same_state_gives_the_same_bytes(tmp_path):
    for name, arrays in (("one", ARRAYS), ("other", dict(reversed(ARRAYS.items())))):
        checkpoint_file.write(tmp_path / name, arrays, DESCRIPTION)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_a_description_with_numbers_as_keys(tmp_path):
    checkpoint_file.write(tmp_path / "checkpoint", {}, {"losses": {10: 1.5, 9: float("inf")}})
    assert checkpoint_file.read(tmp_path / "checkpoint") == ({}, {"losses": {"10": 1.5, "9": float("inf")}})


def test_no_other_file_is_left_and_it_is_as_readable_as_others(tmp_path):
    path, other = tmp_path / "checkpoint", tmp_path / "other"
    other.touch()
    checkpoint_file.write(path, ARRAYS, DESCRIPTION)
    assert sorted(tmp_path.iterdir()) == [path, other]
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)


def test_errors_of_the_system_are_no_damage(tmp_path):
    with pytest.raises(FileNotFoundError):
        checkpoint_file.read(tmp_path / "none")
    with pytest.raises(OSError, match="device|directory"):
        checkpoint_file.read(tmp_path)


def test_a_file_that_may_not_be_opened_is_not_missing(path, monkeypatch):
    def denied(*args):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(checkpoint_file, "open", denied, raising=False)
    with pytest.raises(PermissionError):
        checkpoint_file.read(path)


def test_a_disk_that_fails(tmp_path, monkeypatch):
    """The package quotes the errors of the system in its own."""

    def fails(*args, **kwargs):
        raise safetensors.SafetensorError(f"I/O error: {os.strerror(errno.EIO)} (os error {errno.EIO})")

    checkpoint_file.write(tmp_path / "checkpoint", ARRAYS, DESCRIPTION)
    monkeypatch.setattr(safetensors, "safe_open", fails)
    with pytest.raises(OSError, match=rf"^\[Errno {errno.EIO}\] {os.strerror(errno.EIO)}$"):
        checkpoint_file.read(tmp_path / "checkpoint")
    (tmp_path / "checkpoint").unlink()
    monkeypatch.setattr("safetensors.numpy.save_file", fails)
    with pytest.raises(OSError, match=rf"^\[Errno {errno.EIO}\] {os.strerror(errno.EIO)}$"):
        checkpoint_file.write(tmp_path / "checkpoint", ARRAYS, DESCRIPTION)
    assert not list(tmp_path.iterdir())


def test_a_limit_that_the_system_sets(tmp_path):
    """A real error, since the text that the package gives it is not its promise."""
    code = (
        "import resource, numpy as np\nfrom trainer.storage import checkpoint_file\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "try:\n    checkpoint_file.write('checkpoint', {'large': np.zeros(10_000)}, {})\n"
        "except OSError as error:\n    print(error.errno)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.stdout == f"{errno.EFBIG}\n", done.stderr
    assert not list(tmp_path.iterdir())


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
