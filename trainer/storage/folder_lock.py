"""Locks a folder for this process, so that no other run uses it, and can undo that without a trace."""

import fcntl
import os
import pathlib

from absl import logging

_FILE = ".lock"
_ATTEMPTS = 100


class FolderLock:
    """The lock of a folder, which ends with the process at the latest.

    Args:
        folder: The folder. Not touched here.
    """

    def __init__(self, folder: pathlib.Path):
        self._folder = folder
        self._descriptor: int | None = None
        self._made: list[pathlib.Path] = []  # Deepest first.
        self._made_file = False

    def take(self) -> None:
        """Makes the folder and locks it.

        Raises:
            ValueError: If another process has locked it.
            OSError: If the folder cannot be made or written to; folders made so far are removed.
        """
        for _ in range(_ATTEMPTS):
            self._made = [path for path in (self._folder, *self._folder.parents) if not path.exists()]
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                descriptor = self._open()
            except FileNotFoundError:
                continue  # Removed in between by another process, which had made it and was refused.
            except OSError:
                self._remove_folders()
                raise
            if self._lock(descriptor):
                self._descriptor = descriptor
                return
            os.close(descriptor)
        raise ValueError(
            f"`workdir` must be a folder that stays. Received: {self._folder}, which is removed repeatedly"
        )

    def release(self) -> None:
        """Lets other processes use the folder."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def undo(self) -> None:
        """Lets other processes use the folder, and removes what `take` made if nothing else is in it."""
        if self._descriptor is None:
            return
        if self._made_file:
            (self._folder / _FILE).unlink(missing_ok=True)
        self.release()
        self._remove_folders()

    def _open(self) -> int:
        path, options = self._folder / _FILE, os.O_RDWR | os.O_CREAT
        try:
            descriptor = os.open(path, options | os.O_EXCL, 0o644)
        except FileExistsError:
            self._made_file = False
            return os.open(path, options, 0o644)
        self._made_file = True
        return descriptor

    def _lock(self, descriptor: int) -> bool:
        """Locks the file; False if the file was removed since, by a process that was refused."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise ValueError(f"`workdir` must not be in use by another run. Received: {self._folder}") from error
        except OSError as error:  # Mounted buckets may know no locks.
            logging.warning("%s cannot be locked (%s): no other run may use it at the same time", self._folder, error)
            return True
        try:
            return os.path.samestat(os.fstat(descriptor), os.stat(self._folder / _FILE))
        except FileNotFoundError:
            return False

    def _remove_folders(self) -> None:
        for path in self._made:
            try:
                path.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                return  # Something is in it.
