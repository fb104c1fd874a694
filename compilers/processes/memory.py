"""The memory of the machine and of its processes; needs nothing but Python."""

import contextlib
import os
import pathlib


def machine_mib() -> int:
    """The memory of the machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20


def resident_mib_with_children(process: int) -> float:
    """The present resident size of a process and of those that its main thread started, and so on.

    Raises:
        OSError: if there is no such process.
    """
    with open(f"/proc/{process}/statm") as statm:
        resident = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    for child in _children(process):
        with contextlib.suppress(OSError, IndexError):  # It has just ended.
            resident += resident_mib_with_children(child)
    return resident


def _children(process: int) -> list[int]:
    """The processes that the main thread of a process started; none where the system does not list them."""
    path = pathlib.Path(f"/proc/{process}/task/{process}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []
