"""Atomic writes beside leftovers of killed processes and in unusual file systems."""

import os
import pathlib

import pytest

from trainer import atomic


@pytest.mark.parametrize("leftover", ["file", "folder"])
def test_what_an_earlier_process_of_the_same_id_left_is_no_obstacle(tmp_path, leftover):
    temporary = tmp_path / f"text.{os.getpid()}.partial"
    if leftover == "file":
        temporary.write_bytes(b"half")
    else:
        temporary.mkdir()
        (temporary / "content").write_bytes(b"half of a longer text")
    atomic.write_text(tmp_path / "text", "whole")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"text": "whole"}


def test_a_file_system_without_modes(tmp_path, monkeypatch):
    def refused(path, mode):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(pathlib.Path, "chmod", refused)
    with atomic.replacing(tmp_path / "text") as temporary:
        temporary.touch(0o600)
    assert [path.name for path in tmp_path.iterdir()] == ["text"]


def test_only_our_leftovers_are_removed(tmp_path):
    for name in ("text.4711.partial", "download.partial", "text"):
        (tmp_path / name).touch()
    atomic.remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["download.partial", "text"]
