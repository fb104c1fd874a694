"""The machine of a measurement and the sources that are measured; imports no measured package."""

import importlib.metadata
import os
import pathlib
import platform
import subprocess
from typing import Any

from compilers.processes import memory

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
        "memory_mib": memory.machine_mib(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version for name in _PACKAGES if (version := _version(name))},
    }


def code() -> str:
    """The commit of this package's sources, with `-dirty` if they were changed after it; empty outside git."""
    command = ["git", "-C", str(_ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _cpu() -> str:
    with open("/proc/cpuinfo") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
