"""A step compiled for a chip that is not here: its memory, its launches, and the time that they take at least."""

import re
import sys
import time
from typing import Any

import tensorflow as tf
from tensorflow.compiler.xla.service import hlo_pb2

from compilers.chips import roofline
from compilers.chips.registry import CHIPS, Chip
from compilers.hlo import launches, memory
from compilers.processes import compile_process
from compilers.steps import lowering
from compilers.steps.step_to_compile import StepToCompile

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_SIZE = r"([\d.]+)([KMGT]?)"
# The memory that a refusal speaks of: all that the program uses, or only what it needs besides its arguments.
_NEEDED = {
    "in_all": re.compile(rf"Used {_SIZE} of {_SIZE} hbm"),
    "temporary": re.compile(rf"HLO temporaries \({_SIZE}\) exceeds available HBM \({_SIZE}\)"),
}


def read(step: StepToCompile, target: str, python: str = sys.executable) -> dict[str, Any]:
    """Lowers a step here, compiles it for a chip in another process, and reads the program.

    Args:
        step: the step.
        target: name of the chip in `CHIPS`.
        python: the Python of the environment that has `jax` and the chip's compiler.

    Returns:
        `lower_s` and `compile_s`; `waited_s`, for another process that compiled; `versions`; `program_bytes` of the
        lowered program; `memory_bytes` of the chip that a program may take; the memory by kind, with `total_bytes` of
        all and whether it `fits`; `largest`, as in `hlo.memory.alive_at_peak`; the sums of `hlo.launches.count` and the
        floors of `chips.roofline.floor`; `estimated_cycles`, if the compiler estimates them.
        If the compiler refused the program for its memory, there is its `refusal`, what `needed` finds in it, and of
        the others what is known.

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
        "memory_bytes": chip.usable_bytes,
    }
    facts, program, generated = compile_process.compile_program(lowered, target, python)
    refusal, sizes = facts.pop("refusal", None), facts.pop("sizes", None)
    found |= {**facts, "versions": {"tensorflow": tf.__version__, **facts["versions"]}}
    if refusal is not None:
        found |= {"refusal": refusal, **needed(refusal)}
    if program:
        with_buffers = hlo_pb2.HloProto.FromString(program)
        found |= _sizes(with_buffers, sizes)
        found["largest"] = memory.alive_at_peak(with_buffers)
        found |= _work(hlo_pb2.HloProto.FromString(generated or program).hlo_module, chip)
    return {**found, "fits": refusal is None and found["total_bytes"] <= chip.usable_bytes}


def needed(refusal: str) -> dict[str, Any]:
    """Reads what a compiler says that refuses a program for its memory.

    Returns:
        `needed_bytes` and the `available_bytes` that they exceed; `needed_kind`, `"in_all"`, or `"temporary"` if
        arguments are not among them. Nothing if the compiler does not say it.
    """
    for kind, pattern in _NEEDED.items():
        if found := pattern.search(refusal):
            needed_bytes, available_bytes = (
                round(float(number) * _UNITS[unit]) for number, unit in (found.group(1, 2), found.group(3, 4))
            )
            return {"needed_bytes": needed_bytes, "available_bytes": available_bytes, "needed_kind": kind}
    return {}


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
