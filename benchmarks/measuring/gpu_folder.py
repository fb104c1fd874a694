"""The folder that a GPU machine without TensorFlow needs to measure a plan; see `benchmarks.prepared_gpu_step`."""

import pathlib
import shutil

from benchmarks.measuring import gpu_plan
from benchmarks.measuring.gpu_plan import Plan

_ROOT = pathlib.Path(__file__).resolve().parents[2]

SOURCES = (
    "benchmarks/__init__.py",
    "benchmarks/measuring/__init__.py",
    "compilers/__init__.py",
    "compilers/processes/__init__.py",
    "compilers/processes/memory.py",
    "compilers/processes/comparison.py",
    "benchmarks/measuring/gpu_plan.py",
    "benchmarks/measuring/limited_time.py",
    "compilers/processes/lowered_program.py",
    "benchmarks/measuring/machine.py",
    "compilers/processes/limited_process.py",
    "benchmarks/peers/__init__.py",
    "benchmarks/peers/flash_attention.py",
    "benchmarks/points/__init__.py",
    "compilers/processes/lowered_step.py",
    "benchmarks/prepared_gpu_step.py",
    "benchmarks/reports/__init__.py",
    "benchmarks/reports/gpu_step.py",
)
"""The files of this package that run there; they import each other, Python's library, and `jax` or `torch`."""


def write(plan: Plan, folder: pathlib.Path) -> None:
    """Writes the plan, and what runs it.

    Args:
        plan: the plan.
        folder: that is made if it is not there.
    """
    for source in SOURCES:
        target = folder / source
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_ROOT / source, target)
    gpu_plan.save(plan, folder / gpu_plan.FILE)
