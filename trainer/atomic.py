"""Atomic writes: a file is complete or absent, whenever the process dies."""

import contextlib
import os
import pathlib
import re
import shutil
from collections.abc import Iterator
from typing import BinaryIO

_TEMPORARY = ".partial"
_LEFTOVER = re.compile(rf".+\.\d+{re.escape(_TEMPORARY)}")  # Other files of that ending are not ours.
_CONTENT = "content"


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Gives the path of a temporary file that replaces `path` once the body has written it, and it is on the disk.

    It lies in a folder of its own, so that a function which writes it may have temporary files beside it. If the body
    raises, `path` stays as it was.

    Args:
        path: File to write. Its folder must exist.

    Yields:
        The path to write to.
    """
    path = pathlib.Path(path)
    folder = path.with_name(f"{path.name}.{os.getpid()}{_TEMPORARY}")
    temporary = folder / _CONTENT
    try:
        if folder.is_file():  # As earlier versions left it; in a container, processes often have the same id.
            folder.unlink()
        folder.mkdir(exist_ok=True)
        yield temporary
        usual = folder.stat().st_mode & 0o666
        if temporary.stat().st_mode & 0o777 != usual:  # Some functions make files that only their owner can read.
            with contextlib.suppress(OSError):  # Some file systems refuse that; the content is there all the same.
                temporary.chmod(usual)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sync_folder(path.parent)


@contextlib.contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Opens a temporary file that replaces `path` as `replacing` does.

    Args:
        path: File to write. Its folder must exist.

    Yields:
        A binary file to write to.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        yield file


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes `text` as UTF-8 to `path`, atomically."""
    with writing(path) as file:
        file.write(text.encode("utf-8"))


def remove_leftovers(folder: str | os.PathLike[str]) -> None:
    """Removes what dead processes left in `folder`: temporary files and their folders, as far as that is possible."""
    for leftover in pathlib.Path(folder).glob(f"*{_TEMPORARY}"):
        if not _LEFTOVER.fullmatch(leftover.name):
            continue
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                leftover.unlink()


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Makes the names of the files in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
