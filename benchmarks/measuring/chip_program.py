"""A step compiled for a chip that is not here: its memory, its launches, and the time that they take at least."""

import re
import sys
import time
from typing import Any

from tensorflow.compiler.xla.service import hlo_pb2

from benchmarks.measuring import compile_process, lowering
from benchmarks.measuring.chips import CHIPS, Chip
from benchmarks.measuring.hlo import launches, memory, roofline
from benchmarks.measuring.step_to_compile import StepToCompile

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
        If the compiler refused the program for its memory, there is its `refusal`, and of the others what is known.

    Raises:
        MemoryError: if the memory of this machine is not enough to compile.
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
    facts, program, generated = compile_process.compile_program(lowered, target, python)
    refusal, sizes = facts.pop("refusal", None), facts.pop("sizes", None)
    found |= facts
    if refusal is not None:
        found |= {"refusal": refusal, **needed(refusal)}
    if program:
        with_buffers = hlo_pb2.HloProto.FromString(program)
        found |= _sizes(with_buffers, sizes)
        found["largest"] = memory.alive_at_peak(with_buffers)
        found |= _work(hlo_pb2.HloProto.FromString(generated or program).hlo_module, chip)
    return {**found, "fits": refusal is None and found["total_bytes"] <= chip.memory_bytes}


def needed(refusal: str) -> dict[str, int]:
    """The bytes that a compiler says it needs, as `total_bytes`; nothing if it does not say it."""
    found = _NEEDED.search(refusal)
    return {"total_bytes": round(float(found[1]) * _UNITS[found[2]])} if found else {}


def _sizes(program: Any, sizes: dict[str, int] | None) -> dict[str, int]:
    """The memory by kind and all of it together: as the compiler says, or if it refused, as it was assigned."""
    assigned = memory.memory(program)
    if sizes is None:  # There is no code, and outputs in the memory of arguments are not counted.
        return {**assigned, "aliased_bytes": 0, "code_bytes": 0, "total_bytes": sum(assigned.values())}
    total = sum(sizes[name] for name in ("temp", "argument", "output", "generated_code")) - sizes["alias"]
    return {
        "temporary_bytes": sizes["temp"],
        "argument_bytes": sizes["argument"],
        "output_bytes": sizes["output"],
        "aliased_bytes": sizes["alias"],
        "constant_bytes": assigned["constant_bytes"],
        "code_bytes": sizes["generated_code"],
        "total_bytes": total + assigned["constant_bytes"],
    }


def _work(module: Any, chip: Chip) -> dict[str, Any]:
    found = launches.launches(module)
    cycles = launches.estimated_cycles(found)
    return {**launches.count(found), **roofline.floor(found, chip), **({"estimated_cycles": cycles} if cycles else {})}
