"""Numbered folders: the remains of killed exports are removed, and exports under way are not touched."""

import errno
import fcntl
import os

import pytest

from reformer_tf.export import export_saved_model, versions
from reformer_tf.models import ReformerCausalLM


def _write(folder):
    (folder / "file").write_text("content")


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_a_killed_export_left_is_removed_by_the_next(tmp_path):
    for name in (".unfinished-abc", ".unfinished-def"):
        (tmp_path / name).mkdir()
        _write(tmp_path / name)
    (tmp_path / "notes").mkdir()
    assert versions.write_next(tmp_path, _write) == tmp_path / "1"
    assert _names(tmp_path) == ["1", "notes"]
    assert versions.write_next(tmp_path, _write) == tmp_path / "2"
    assert (tmp_path / "2" / "file").read_text() == "content"


def test_an_export_under_way_is_not_touched(tmp_path):
    def meanwhile(folder):
        _write(folder)
        assert versions.write_next(tmp_path, _write) == tmp_path / "1"
        assert (folder / "file").read_text() == "content"

    assert versions.write_next(tmp_path, meanwhile) == tmp_path / "2"
    assert _names(tmp_path) == ["1", "2"]


def test_an_export_that_fails_leaves_nothing(tmp_path):
    def fail(folder):
        _write(folder)
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        versions.write_next(tmp_path, fail)
    assert not _names(tmp_path)


def test_a_folder_that_another_export_took_for_dead_is_made_again(tmp_path, monkeypatch):
    """A folder is removed between its creation and its lock."""
    make, removed = versions.tempfile.mkdtemp, []

    def make_and_remove(**options):
        folder = make(**options)
        if not removed:
            removed.append(folder)
            os.rmdir(folder)
        return folder

    monkeypatch.setattr(versions.tempfile, "mkdtemp", make_and_remove)
    assert versions.write_next(tmp_path, _write) == tmp_path / "1"
    assert _names(tmp_path) == ["1"]
    assert len(removed) == 1


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    def no_locks(descriptor, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    (tmp_path / ".unfinished-abc").mkdir()
    monkeypatch.setattr(fcntl, "flock", no_locks)
    assert versions.write_next(tmp_path, _write) == tmp_path / "1"
    assert _names(tmp_path) == [".unfinished-abc", "1"]


def test_a_remote_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = ReformerCausalLM(257, 16, 1, 8, 1, 8, 8, ["local"])
    with pytest.raises(ValueError, match="`directory` must be a path in the file system of this machine"):
        export_saved_model(model, "gs://bucket/models")
    assert not list(tmp_path.iterdir())
