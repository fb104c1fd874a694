"""Numbered folders of exports, each of which appears only when it is complete."""

import contextlib
import fcntl
import os
import pathlib
import re
import shutil
import tempfile
from collections.abc import Callable

_VERSION = re.compile(r"\d+")
_UNFINISHED = ".unfinished-"


def write_next(directory: pathlib.Path, write: Callable[[pathlib.Path], None]) -> pathlib.Path:
    """Makes the next version in a folder: one more than the highest number there, or 1.

    Unfinished folders of killed exports are removed. An export under way holds a lock on its folder; if the file system
    has no locks, nothing is removed.

    Args:
        directory: folder of the versions. Made if it does not exist.
        write: fills the folder passed to it. If it raises, that folder is removed.

    Returns:
        The folder of the new version.
    """
    directory.mkdir(parents=True, exist_ok=True)
    _remove_unfinished(directory)
    unfinished, descriptor = _make_locked(directory)
    try:
        unfinished.chmod(0o755)
        write(unfinished)
        return _rename_to_next(unfinished, directory)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    finally:
        os.close(descriptor)


def _remove_unfinished(directory: pathlib.Path) -> None:
    for folder in directory.glob(f"{_UNFINISHED}*"):
        with contextlib.suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)


def _make_locked(directory: pathlib.Path) -> tuple[pathlib.Path, int]:
    """Makes an unfinished folder, and returns it with the descriptor that holds its lock."""
    while True:
        # The name is no number, so that no server takes the folder for a version before it is complete.
        folder = pathlib.Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=directory))
        try:
            descriptor = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:
            continue  # Another process that begins an export removed it before it was locked.
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            continue  # Another process is removing it.
        except OSError:
            return folder, descriptor  # A file system without locks.
        if folder.exists():
            return folder, descriptor
        os.close(descriptor)


def _rename_to_next(folder: pathlib.Path, directory: pathlib.Path) -> pathlib.Path:
    while True:
        versions = [int(entry.name) for entry in directory.iterdir() if _VERSION.fullmatch(entry.name)]
        target = directory / str(max(versions, default=0) + 1)
        try:
            folder.rename(target)
        except OSError:
            if not target.exists():
                raise
            continue  # Another process was faster.
        return target
