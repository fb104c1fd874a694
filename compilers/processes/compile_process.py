"""The process that compiles for a chip, in an environment that may be another one than this process's."""

import json
import os
import pathlib
import signal
import subprocess
import tempfile
from typing import Any, NamedTuple

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_SAID = 1500  # Characters of a compiler's output that go into the reason of its failure.


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
    result = _run(target, python)
    if result.returncode:
        raise ValueError(result.stdout.strip() or f"--python must be a Python that runs. Received: {python}")
    return json.loads(result.stdout.splitlines()[-1])


def compile_program(lowered: bytes, target: str, python: str) -> Compiled:
    """Compiles a program for a chip.

    Args:
        lowered: a serialized `HloModuleProto`.
        target: name of the chip.
        python: the Python of the environment that has `jax` and the chip's compiler.

    Raises:
        MemoryError: if the memory of this machine is not enough to compile.
        RuntimeError: if the compiler fails for another reason.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "step.hlo").write_bytes(lowered)
        result = _run(target, python, f"--program={folder / 'step.hlo'}", f"--output={folder}")
        if result.returncode == -signal.SIGKILL:
            raise MemoryError(f"The compiler of {target} was killed, as the system does when memory runs out.")
        if result.returncode:
            said = result.stdout.strip()[-_SAID:]
            raise RuntimeError(f"The compiler of {target} ended with exit code {result.returncode}: {said}")
        facts = json.loads((folder / "compiled.json").read_text())
        compiled = Compiled(facts, _content(folder / "buffers.pb"), _content(folder / "codegen.pb"))
    if not compiled.program and "refusal" not in facts:
        raise RuntimeError(f"The compiler of {target} wrote no program. Received: versions {facts['versions']}")
    return compiled


def _run(target: str, python: str, *arguments: str) -> subprocess.CompletedProcess:
    """Runs `compilers.processes.chip_compiler`; its output has its errors too."""
    return subprocess.run(
        [python, "-m", "compilers.processes.chip_compiler", target, *arguments],
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )


def _content(path: pathlib.Path) -> bytes:
    return path.read_bytes() if path.exists() else b""
