"""The plan of `benchmarks.gpu_step`, which may be made on one machine and run on another; needs nothing but Python."""

import dataclasses
import importlib.util
import json
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.measuring import limited_time, point_process
from benchmarks.measuring.limited_time import Point

FILE = "plan.json"
"""The name of its file, where it is run on another machine."""
CHECK = "check"
"""The subject of the point that compares numbers."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
        points: in sequence.
        peak: operations of matrix products in bfloat16 that the GPU does in a second.
        about: facts for the report.
    """

    points: Sequence[Point]
    peak: float
    about: Mapping[str, Any]


def save(plan: Plan, path: pathlib.Path) -> None:
    """Writes a plan as JSON."""
    path.write_text(json.dumps(dataclasses.asdict(plan), indent=1) + "\n", encoding="utf-8")


def load(path: pathlib.Path) -> Plan:
    """Reads a plan that `save` wrote."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return Plan(**{**content, "points": [Point(**point) for point in content["points"]]})


def run(plan: Plan, seconds: float, output: pathlib.Path, report: Callable[[Mapping[str, Any]], str]) -> dict[str, Any]:
    """Measures the points of a plan.

    Args:
        plan: the plan.
        seconds: limit of all together.
        output: file of the results, which is written after each point.
        report: a point as a line of text, which is printed.

    Returns:
        The content of the file: what the plan is about, `points` with the result of each, `seconds`, and
        `not_installed`, the packages for whose lack points were left out.
    """
    start = time.monotonic()
    missing = sorted({name for point in plan.points if (name := _missing(point))})
    measured: list[dict[str, Any]] = []
    found = {**plan.about, "peak": plan.peak, "not_installed": missing, "points": measured}
    for result in limited_time.run([point for point in plan.points if not _missing(point)], seconds):
        if result["status"] == point_process.DONE and result["subject"] != CHECK:
            result["tokens_per_s"] = result["length"] / result["step_s"]
            # What a CPU does says nothing about the peak of a GPU.
            on_cpu = result["device"] == "cpu"
            result["share_of_peak"] = None if on_cpu else result["operations"] / result["step_s"] / plan.peak
        measured.append(result)
        found["seconds"] = time.monotonic() - start
        output.write_text(json.dumps(found) + "\n", encoding="utf-8")
        print(report(result), flush=True)
    return found


def _missing(point: Point) -> str | None:
    """The framework that a point needs and that is not installed, or None."""
    named = [flag.split("=")[1] for flag in point.command if flag.startswith("--framework=")]
    return next((name for name in named if importlib.util.find_spec(name) is None), None)
