"""A step compiled for a chip that is not here: its memory, its launches, and the time that they take at least."""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time
from typing import Any

from tensorflow.compiler.xla.service import hlo_pb2

from benchmarks.measuring import lowering
from benchmarks.measuring.chips import CHIPS, Chip
from benchmarks.measuring.compile_process import command, environment
from benchmarks.measuring.hlo import launches, memory, roofline
from benchmarks.measuring.step_to_compile import StepToCompile

_SAID = 1500  # Characters of a compiler's output that go into the reason of its failure.
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_NEEDED = re.compile(r"Used ([\d.]+)([KMGT]?) of [\d.]+[KMGT]? hbm")


def read(step: StepToCompile, target: str, python: str = sys.executable) -> dict[str, Any]:
    """Lowers a step here, compiles it for a chip in another process, and reads the program.

    Args:
        step: the step.
        target: name of the chip in `CHIPS`.
        python: the Python of the environment that has `jax` and the chip's compiler.

    Returns:
        `lower_s` and `compile_s`; `program_bytes` of the lowered program; `memory_bytes` of the chip; `fits`, whether
        the program takes no more. If the compiler refused it for its memory, `refusal`, what it said, and
        `needed_bytes` as far as it said that; otherwise what `_memory` and `_work` say.

    Raises:
        RuntimeError: if the compiler fails for another reason.
    """
    chip = CHIPS[target]
    start = time.perf_counter()
    lowered = lowering.lower(step, chip)
    found: dict[str, Any] = {
        "lower_s": time.perf_counter() - start,
        "program_bytes": len(lowered),
        "memory_bytes": chip.memory_bytes,
    }
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "step.hlo").write_bytes(lowered)
        del lowered
        arguments = [f"--program={folder / 'step.hlo'}", f"--output={folder}"]
        result = subprocess.run(
            command(target, python, *arguments),
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if result.returncode:
            said = result.stdout.strip()[-_SAID:]
            raise RuntimeError(f"The compiler of {target} ended with exit code {result.returncode}: {said}")
        compiled = json.loads((folder / "compiled.json").read_text())
        found |= {name: compiled[name] for name in ("device", "versions", "compile_s")}
        program = hlo_pb2.HloProto()
        if (folder / "buffers.pb").exists():
            program.ParseFromString((folder / "buffers.pb").read_bytes())
        found["largest"] = memory.alive_at_peak(program)
        if "refusal" in compiled:
            return {**found, "fits": False, **refusal(compiled["refusal"])}
        module = hlo_pb2.HloModuleProto.FromString((folder / "module.pb").read_bytes())
    return {**found, **_memory(program, compiled["sizes"], chip), **_work(module, chip)}


def refusal(said: str) -> dict[str, Any]:
    """What a compiler said when it refused a program for its memory.

    Args:
        said: its message, which lists the largest allocations.

    Returns:
        `refusal`, the message, and `needed_bytes`, if it tells them.
    """
    needed = _NEEDED.search(said)
    bytes_needed = {"needed_bytes": round(float(needed[1]) * _UNITS[needed[2]])} if needed else {}
    return {"refusal": said, **bytes_needed}


def _memory(program: Any, sizes: dict[str, int], chip: Chip) -> dict[str, Any]:
    """The memory by kind, and all of it together."""
    assigned = memory.memory(program)
    total = sum(sizes[name] for name in ("temp", "argument", "output", "generated_code")) - sizes["alias"]
    return {
        "temporary_bytes": sizes["temp"],
        "argument_bytes": sizes["argument"],
        "output_bytes": sizes["output"],
        "aliased_bytes": sizes["alias"],
        "code_bytes": sizes["generated_code"],
        "constant_bytes": assigned["constant_bytes"],
        "total_bytes": total + assigned["constant_bytes"],
        "fits": total + assigned["constant_bytes"] <= chip.memory_bytes,
    }


def _work(module: Any, chip: Chip) -> dict[str, Any]:
    found = launches.launches(module)
    return {**launches.count(found), **roofline.floor(found, chip)}
