"""The process that compiles for a chip, in an environment that may be another one than this process's."""

import os
import pathlib
import subprocess

_ROOT = pathlib.Path(__file__).resolve().parents[2]


def command(target: str, python: str, *arguments: str) -> list[str]:
    """The command that compiles for a chip; see `benchmarks.points.chip_compiler`.

    Args:
        target: name of the chip.
        python: the Python of the environment that has `jax` and the chip's compiler.
        *arguments: of the command.
    """
    return [python, "-m", "benchmarks.points.chip_compiler", target, *arguments]


def environment() -> dict[str, str]:
    """The variables of its environment: those of this process, with this package's sources as the only path added."""
    return {**os.environ, "PYTHONPATH": str(_ROOT)}


def check(target: str, python: str) -> None:
    """Checks, before anything is lowered, that an environment can compile for a chip.

    Args:
        target: name of the chip.
        python: the Python of the environment.

    Raises:
        ValueError: if a package is missing.
        OSError: if `python` cannot be run.
    """
    result = subprocess.run(command(target, python), env=environment(), capture_output=True, text=True, check=False)
    if result.returncode:
        raise ValueError(result.stderr.strip() or f"--python must be a Python that runs. Received: {python}")
