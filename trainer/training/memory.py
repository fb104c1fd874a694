"""The memory of this process."""

import contextlib
import pathlib
import re
import resource

_STATUS = pathlib.Path("/proc/self/status")
_CLEAR_REFS = pathlib.Path("/proc/self/clear_refs")
_FORGET_PEAK = "5"


def peak_mib() -> float:
    """Returns the largest resident size of this process so far, without the memory of devices other than the CPU.

    It is Linux' figure of the process, where there is one: that of `getrusage` includes the resident size of the parent
    process when it started this one.
    """
    found = _status("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 if found is None else found


def resident_mib() -> float:
    """Returns the current resident size of this process; the largest so far where the system is not Linux."""
    found = _status("VmRSS")
    return peak_mib() if found is None else found


def forget_peak() -> None:
    """Resets the peak that `peak_mib` returns, where Linux allows it."""
    with contextlib.suppress(OSError):
        _CLEAR_REFS.write_text(_FORGET_PEAK, encoding="ascii")


def _status(name: str) -> float | None:
    """Reads a size in MiB from Linux' status of this process."""
    try:
        found = re.search(rf"^{name}:\s+(\d+) kB$", _STATUS.read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) / 1024 if found else None
