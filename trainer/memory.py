"""The memory of this process."""

import pathlib
import re
import resource

_STATUS = pathlib.Path("/proc/self/status")


def peak_mib() -> float:
    """The largest resident size of this process so far; memory of devices other than the CPU is not in it.

    Linux' own figure of the process, where there is one: that of `getrusage` counts in what the process that started
    this one had resident at that moment.
    """
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB$", _STATUS.read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        found = None
    return int(found[1]) / 1024 if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
