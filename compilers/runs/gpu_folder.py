"""The folder that a GPU machine without TensorFlow needs to run a plan: lowered steps, the plan, and what runs it."""

import dataclasses
import pathlib
import shutil
import sys
from collections.abc import Iterable

from compilers.processes import limited_process
from compilers.runs import gpu_plan, lowered_step
from compilers.runs.gpu_plan import Plan, Point

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_LOWERING_SECONDS = 3600.0  # In which a step must be lowered.


def check(folder: pathlib.Path, trees: Iterable[str]) -> None:
    """Refuses a folder inside of what is copied to it.

    Raises:
        ValueError: if it is inside.
    """
    inside = [tree for tree in trees if folder.resolve().is_relative_to(_ROOT / tree)]
    if inside:
        raise ValueError(f"The folder must not be inside of {inside[0]}/, which is copied to it. Received: {folder}")


def write(plan: Plan, folder: pathlib.Path, repeat: int, trees: Iterable[str]) -> None:
    """Lowers the steps of a plan into a folder, and writes the plan that runs them there, and what runs it.

    Ends this process if a step cannot be lowered.

    Args:
        plan: the plan for this machine.
        folder: that is made if it is not there.
        repeat: timed steps, after one that is not.
        trees: the folders of this repository some of whose files run there.

    Raises:
        ValueError: as `check` does.
    """
    check(folder, trees)
    folder.mkdir(parents=True, exist_ok=True)
    points = [_lowered(point, folder, repeat) if point.lowers else point for point in plan.points]
    gpu_plan.save(dataclasses.replace(plan, points=points), folder / gpu_plan.FILE)
    for tree in trees:
        shutil.copytree(
            _ROOT / tree, folder / tree, ignore=shutil.ignore_patterns("__pycache__", "BUILD"), dirs_exist_ok=True
        )


def _lowered(point: Point, folder: pathlib.Path, repeat: int) -> Point:
    """Lowers the step of a point, in a process of its own, and returns the point that runs it there."""
    name = f"{point.subject.replace(' ', '_')}_{point.length}.hlo"
    command = [sys.executable, "-m", *point.command, f"--program={folder / name}"]
    result = limited_process.run(command, _LOWERING_SECONDS)
    if result["status"] != limited_process.DONE:
        sys.exit(f"Error: {folder / name} was not written: {result['status']}, {result['reason']}")
    print(f"{folder / name}: {result['program_bytes'] / 2**20:.1f} MiB", flush=True)
    check = ["--check"] * (point.subject == gpu_plan.CHECK)
    there = [lowered_step.__name__, f"--program={name}", f"--repeat={repeat}", *check]
    return dataclasses.replace(point, command=there, lowers=False)
