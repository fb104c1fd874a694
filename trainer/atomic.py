"""Atomic writes: a file is complete or absent, whenever the process dies."""

import contextlib
import os
import pathlib
from collections.abc import Iterator
from typing import BinaryIO

_TEMPORARY = ".partial"


@contextlib.contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Opens a temporary file that replaces `path` once it is complete and on the disk.

    If the body raises, `path` stays as it was.

    Args:
        path: File to write. Its folder must exist.

    Yields:
        A binary file to write to.
    """
    path = pathlib.Path(path)
    temporary = path.with_name(f"{path.name}.{os.getpid()}{_TEMPORARY}")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes `text` as UTF-8 to `path`, atomically."""
    with writing(path) as file:
        file.write(text.encode("utf-8"))


def remove_leftovers(folder: str | os.PathLike[str]) -> None:
    """Removes temporary files that dead processes left in `folder`."""
    for leftover in pathlib.Path(folder).glob(f"*{_TEMPORARY}"):
        leftover.unlink(missing_ok=True)


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Makes the names of the files in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
