"""Resident memory of processes; the peak of this one is `trainer.training.memory.peak_mib`."""

import os


def resident_mib(process: int | str = "self") -> float:
    """The present resident size of a process, by its id; of this one by default.

    Raises:
        OSError: if there is no such process.
    """
    with open(f"/proc/{process}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
