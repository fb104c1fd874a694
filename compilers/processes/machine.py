"""The machine, the memory of its processes, and the commit of the sources; needs nothing but Python."""

import contextlib
import importlib.metadata
import os
import pathlib
import platform
import subprocess
from typing import Any

_PACKAGES = ("tensorflow", "keras", "numpy", "torch", "jax", "jaxlib", "transformers", "reformer-pytorch")
_ROOT = pathlib.Path(__file__).resolve().parents[2]


def describe() -> dict[str, Any]:
    """Describes the processor, the memory and the versions.

    Returns:
        `cpu`, `cores` (that this process may use), `memory_mib`, `system`, `python` and `versions`.
    """
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mib": memory_mib(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version for name in _PACKAGES if (version := _version(name))},
    }


def memory_mib() -> int:
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


def code() -> str:
    """The commit of this package's sources, with `-dirty` if they were changed after it; empty outside git."""
    command = ["git", "-C", str(_ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _children(process: int) -> list[int]:
    """The processes that the main thread of a process started; none where the system does not list them."""
    path = pathlib.Path(f"/proc/{process}/task/{process}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


def _cpu() -> str:
    with open("/proc/cpuinfo") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
