"""Copies the repository and applies a breakage to the copy."""

import pathlib
import shutil
import subprocess

from tools.breakages import source
from tools.breakages.breakage import Breakage


def make(root: pathlib.Path, folder: pathlib.Path, breakage: Breakage | None = None) -> None:
    """Copies the tracked files, as they are in the working tree, and applies a breakage to the copy.

    Args:
        root: Root of the repository.
        folder: The folder of the copy.
        breakage: The breakage to apply; None for an unbroken copy.

    Raises:
        ValueError: If the breakage cannot be applied.
    """
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if (root / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, folder / name)
    if breakage is not None:
        file, text = source.broken(root, breakage)
        (folder / file).write_text(text, encoding="utf-8")
