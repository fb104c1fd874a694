"""The plan of `benchmarks.gpu_step`, which may be made on one machine and run on another; needs nothing but Python."""

import dataclasses
import importlib.util
import json
import os
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.measuring import limited_time, machine
from benchmarks.measuring.limited_time import Point
from compilers.processes import limited_process

FILE = "plan.json"
"""The name of its file, where it is run on another machine."""
CHECK = "check"
"""The subject of the point that compares numbers, the first one."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
        points: in sequence.
        gpu: the name of the GPU whose peak is known.
        peak: operations of matrix products in bfloat16 that it does in a second, by its data sheet.
        about: facts for the report.
    """

    points: Sequence[Point]
    gpu: str
    peak: float
    about: Mapping[str, Any]


def save(plan: Plan, path: pathlib.Path) -> None:
    """Writes a plan as JSON."""
    path.write_text(json.dumps(dataclasses.asdict(plan), indent=1) + "\n", encoding="utf-8")


def load(path: pathlib.Path) -> Plan:
    """Reads a plan that `save` wrote."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return Plan(**{**content, "points": [Point(**point) for point in content["points"]]})


def run(
    plan: Plan, seconds: float, output: pathlib.Path, cpu: bool, report: Callable[[Mapping[str, Any]], str]
) -> dict[str, Any]:
    """Measures the points of a plan.

    Args:
        plan: the plan.
        seconds: limit of all together.
        output: file of the results, which is written after each point.
        cpu: whether a CPU may take the place of the GPU.
        report: a point as a line of text, which is printed.

    Returns:
        The content of the file: what the plan is about, the `machine`, `points` with the result of each, `seconds`, and
        `not_installed`, the packages for whose lack points were left out.

    Raises:
        ValueError: if `output` is there, or if there is no GPU and a CPU may not take its place.
    """
    if output.exists():
        raise ValueError(f"--output must be a new file. Received: {output}")
    start = time.monotonic()
    missing = sorted({p.package for p in plan.points if p.package and importlib.util.find_spec(p.package) is None})
    measured: list[dict[str, Any]] = []
    found = {**plan.about, "gpu": plan.gpu, "peak": plan.peak, "machine": machine.describe()}
    found |= {"not_installed": missing, "points": measured}
    for result in limited_time.run([point for point in plan.points if point.package not in missing], seconds):
        if result.get("device") == "cpu" and not cpu:
            raise ValueError("there must be a GPU, or --cpu, with which a CPU takes its place. Received: device cpu")
        if result["status"] == limited_process.DONE and result["subject"] != CHECK:
            result["tokens_per_s"] = result["length"] / result["step_s"]
            # Of another device the peak is not known.
            known = result["device"].startswith(plan.gpu)
            result["share_of_peak"] = result["operations"] / result["step_s"] / plan.peak if known else None
        measured.append(result)
        found["seconds"] = time.monotonic() - start
        _write(found, output)
        print(report(result), flush=True)
    return found


def failure(found: Mapping[str, Any]) -> str:
    """Why a run was no success: its numbers were not checked, or differ, or a point failed; empty if it was one."""
    points = found["points"]
    if not any(p["subject"] == CHECK and p.get("passed") for p in points):
        return "the numbers of the device are not those of the CPU, or were not compared"
    failed = [p for p in points if p["status"] not in (limited_process.DONE, limited_time.NO_TIME)]
    return f"{len(failed)} of {len(points)} points failed" if failed else ""


def _write(found: Mapping[str, Any], output: pathlib.Path) -> None:
    """Writes the results aside and puts them in place, so that the file is complete at any time."""
    aside = output.with_name(f".{output.name}.new")
    aside.write_text(json.dumps(found) + "\n", encoding="utf-8")
    os.replace(aside, output)
