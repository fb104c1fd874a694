"""Resident memory of this process; its peak is `trainer.training.memory.peak_mib`."""

import os


def resident_mib() -> float:
    """The present resident size."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
