"""A disk that is full while certain files are written, for the tests."""

import contextlib
import errno
import os
import re

from trainer import atomic


class FullDisk:
    """Lets only the first bytes of each file with a matching name be written.

    Args:
        monkeypatch: pytest's.
        name: Regular expression of the whole name.
        times: How many files to fail; None for all.
    """

    def __init__(self, monkeypatch, name, times=None):
        self._name = re.compile(name)
        self._left = times
        self._writing = atomic.writing
        self.failed = []
        monkeypatch.setattr(atomic, "writing", self._limited)

    @contextlib.contextmanager
    def _limited(self, path):
        with self._writing(path) as file:
            is_full = self._name.fullmatch(os.path.basename(path)) and self._left != len(self.failed)
            if is_full:
                self.failed.append(os.path.basename(path))
            yield _Limited(file) if is_full else file


class _Limited:
    def __init__(self, file):
        self._file = file
        self._capacity = 100

    def write(self, data):
        self._file.write(bytes(data)[: self._capacity])
        self._capacity -= len(data)
        if self._capacity < 0:
            self._file.flush()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
