"""The memory of this process."""

import contextlib
import pathlib
import re
import resource

_STATUS = pathlib.Path("/proc/self/status")
_CLEAR_REFS = pathlib.Path("/proc/self/clear_refs")
_FORGET_PEAK = "5"


def peak_mib() -> float:
    """The largest resident size of this process so far; memory of devices other than the CPU is not in it.

    Linux' own figure of the process, where there is one: that of `getrusage` counts in what the process that started
    this one had resident at that moment.
    """
    found = _status("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 if found is None else found


def resident_mib() -> float:
    """The resident size of this process now, where Linux tells it; elsewhere the largest so far."""
    found = _status("VmRSS")
    return peak_mib() if found is None else found


def forget_peak() -> None:
    """Makes `peak_mib` begin anew, where Linux lets a process do that."""
    with contextlib.suppress(OSError):
        _CLEAR_REFS.write_text(_FORGET_PEAK, encoding="ascii")


def _status(name: str) -> float | None:
    """A size in Linux' status of this process, in MiB."""
    try:
        found = re.search(rf"^{name}:\s+(\d+) kB$", _STATUS.read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) / 1024 if found else None
