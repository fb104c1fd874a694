"""Resident memory of this process."""

import os
import resource


def resident_mib() -> float:
    """What is resident now."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def peak_mib() -> float:
    """The largest resident size so far.

    Linux counts in what the parent process had when it started this one, so measurements must be started from a small
    process.
    """
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
