"""A disk that is full while certain files are written, for the tests."""

import errno
import os
import re

import safetensors
from safetensors import numpy as safetensors_numpy


class FullDisk:
    """Lets only the first bytes of each checkpoint with a matching name be written.

    Args:
        monkeypatch: pytest's.
        name: Regular expression of the whole name.
        times: How many files to fail; None for all.
    """

    def __init__(self, monkeypatch, name, times=None):
        self._name = re.compile(name)
        self._left = times
        self._save = safetensors_numpy.save_file
        self.failed = []
        monkeypatch.setattr(safetensors_numpy, "save_file", self._limited)

    def _limited(self, arrays, path, metadata):
        self._save(arrays, path, metadata)
        name = path.parent.name.split(f".{os.getpid()}")[0]
        if self._name.fullmatch(name) and self._left != len(self.failed):
            self.failed.append(name)
            os.truncate(path, 100)
            text = f"{os.strerror(errno.ENOSPC)} (os error {errno.ENOSPC})"  # As the package says it.
            raise safetensors.SafetensorError(f"Error while serializing: I/O error: {text}")
