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
_NEEDED = re.compile(r"(?:Used |\()([\d.]+)([KMGT]?)(?: of [\d.]+[KMGT]? hbm|\) exceeds available HBM)")


def read(step: StepToCompile, target: str, python: str = sys.executable) -> dict[str, Any]:
    """Lowers a step here, compiles it for a chip in another process, and reads the program.

    Args:
        step: the step.
        target: name of the chip in `CHIPS`.
        python: the Python of the environment that has `jax` and the chip's compiler.

    Returns:
        `lower_s` and `compile_s`; `program_bytes` of the lowered program; `memory_bytes` of the chip; the memory by
        kind, with `total_bytes` of all and whether it `fits`; `largest`, as in `hlo.memory.alive_at_peak`; the sums of
        `hlo.launches.count` and the floors of `hlo.roofline.floor`; `estimated_cycles`, if the compiler estimates them.
        If the compiler refused the program for its memory, there is its `refusal`, and what else it got as far as.

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
        program = _program(folder / "buffers.pb")
        codegen = _program(folder / "codegen.pb") or program
    if "refusal" in compiled:
        found |= {"fits": False, "refusal": compiled["refusal"], **needed(compiled["refusal"])}
    if program is None:
        return found
    sizes = _assigned(program) if "refusal" in compiled else _sizes(program, compiled["sizes"])
    found |= {**sizes, "largest": memory.alive_at_peak(program), **_work(codegen.hlo_module, chip)}
    return {"fits": found["total_bytes"] <= chip.memory_bytes, **found}


def needed(refusal: str) -> dict[str, int]:
    """The bytes that a compiler says it needs, as `total_bytes`; nothing if it does not say it."""
    found = _NEEDED.search(refusal)
    return {"total_bytes": round(float(found[1]) * _UNITS[found[2]])} if found else {}


def _program(path: pathlib.Path) -> Any:
    """The `HloProto` of a file; None if there is no such file."""
    return hlo_pb2.HloProto.FromString(path.read_bytes()) if path.exists() else None


def _sizes(program: Any, sizes: dict[str, int]) -> dict[str, int]:
    """The memory by kind, and all of it together."""
    constants = memory.memory(program)["constant_bytes"]
    total = sum(sizes[name] for name in ("temp", "argument", "output", "generated_code")) - sizes["alias"]
    return {
        "temporary_bytes": sizes["temp"],
        "argument_bytes": sizes["argument"],
        "output_bytes": sizes["output"],
        "aliased_bytes": sizes["alias"],
        "constant_bytes": constants,
        "code_bytes": sizes["generated_code"],
        "total_bytes": total + constants,
    }


def _assigned(program: Any) -> dict[str, int]:
    """The same of a program without code; its outputs are those that are not in the memory of arguments."""
    assigned = memory.memory(program)
    return {**assigned, "aliased_bytes": 0, "code_bytes": 0, "total_bytes": sum(assigned.values())}


def _work(module: Any, chip: Chip) -> dict[str, Any]:
    found = launches.launches(module)
    cycles = launches.estimated_cycles(found)
    return {
        **launches.count(found),
        **roofline.floor(found, chip),
        **({"estimated_cycles": cycles} if cycles else {}),
    }
