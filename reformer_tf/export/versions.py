"""Numbered folders, each there as a whole or not at all."""

import pathlib
import re
import shutil
import tempfile
from collections.abc import Callable

_VERSION = re.compile(r"\d+")


def write_next(directory: pathlib.Path, write: Callable[[pathlib.Path], None]) -> pathlib.Path:
    """Makes the next version in a folder: one more than the highest number there, or 1.

    Args:
        directory: folder of the versions. Made if it is not there.
        write: fills the folder that it is given. If it raises, nothing is left of that folder.

    Returns:
        The folder of the new version.
    """
    directory.mkdir(parents=True, exist_ok=True)
    # Not a number, so that no server takes it for a version before it is complete.
    unfinished = pathlib.Path(tempfile.mkdtemp(prefix=".unfinished-", dir=directory))
    try:
        unfinished.chmod(0o755)
        write(unfinished)
        return _rename_to_next(unfinished, directory)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


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
