"""Resident memory of this process; the largest so far is `trainer.training.memory.peak_mib`."""

import os


def resident_mib() -> float:
    """What is resident now."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
