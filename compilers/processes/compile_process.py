"""Compiles for a chip in another process, in an environment that may be another one than this process's."""

import os
import pathlib
import tempfile
from typing import Any, NamedTuple

from compilers.processes import limited_process

_ROOT = pathlib.Path(__file__).resolve().parents[2]


class Compiled(NamedTuple):
    """What came of compiling.

    Attributes:
        facts: `device`, `versions`, `compile_s`; `waited_s`, for another process that compiled; and `sizes`, bytes by
            kind, or the `refusal`, what the compiler said when it refused the program for its memory.
        program: a serialized `HloProto`, the optimized program with the assignment of its buffers; empty if the
            compiler refused before that.
        generated: the same with what the compiler notes in the end; empty if it notes nothing more.
    """

    facts: dict[str, Any]
    program: bytes
    generated: bytes


def check(target: str, python: str) -> dict[str, str]:
    """Checks, before anything is lowered, that an environment can compile for a chip.

    Args:
        target: name of the chip.
        python: the Python of the environment that has `jax` and the chip's compiler.

    Returns:
        The versions of the packages that compile.

    Raises:
        ValueError: if a package is missing, or the compiler is locked by another user.
        OSError: if `python` cannot be run.
    """
    found = _run(target, python)
    if found["status"] != limited_process.DONE:
        raise ValueError(f"--python must be a Python that runs. Received: {python}, {found['reason']}")
    return found["versions"]


def compile_program(lowered: bytes, target: str, python: str) -> Compiled:
    """Compiles a program for a chip.

    Args:
        lowered: a serialized `HloModuleProto`.
        target: name of the chip.
        python: the Python of the environment that has `jax` and the chip's compiler.

    Raises:
        MemoryError: if the memory of this machine is not enough to compile.
        RuntimeError: if the compiler fails for another reason.
        ValueError: as `check` does.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "step.hlo").write_bytes(lowered)
        found = _run(target, python, f"--program={folder / 'step.hlo'}", f"--output={folder}")
        if found["status"] != limited_process.DONE:
            kind = MemoryError if found["status"] == limited_process.MEMORY else RuntimeError
            raise kind(f"The compiler of {target} failed: {found['reason']}")
        facts = found["compiled"]
        compiled = Compiled(facts, _content(folder / "buffers.pb"), _content(folder / "codegen.pb"))
    if not compiled.program and "refusal" not in facts:
        raise RuntimeError(f"The compiler of {target} wrote no program. Received: versions {facts['versions']}")
    return compiled


def _run(target: str, python: str, *arguments: str) -> dict[str, Any]:
    """Runs `compilers.processes.chip_compiler`, for as long as it takes."""
    command = [python, "-m", "compilers.processes.chip_compiler", target, *arguments]
    found = limited_process.run(command, environment={**os.environ, "PYTHONPATH": str(_ROOT)})
    if "refused" in found:
        raise ValueError(found["refused"])
    return found


def _content(path: pathlib.Path) -> bytes:
    return path.read_bytes() if path.exists() else b""
