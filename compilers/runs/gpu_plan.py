"""The plan of `benchmarks.gpu_step`, made on one machine and run on it or another; needs nothing but Python there.

Each point is a process of its own, so that what one allocates or breaks does not matter to the next. The one under way
at the limit of time is ended, and what was measured before is always reported.
"""

import dataclasses
import importlib.util
import json
import os
import pathlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from compilers.processes import limited_process, machine

FILE = "plan.json"
"""The name of its file, where it is run on another machine."""
CHECK = "check"
"""The subject of the point that compares numbers, the first one."""
NO_TIME = "no_time"
"""The status of a point that the limit of time ended or left out."""

_GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Point:
    """A setting to measure.

    Attributes:
        subject: what is measured.
        length: L, the tokens of a sequence.
        command: module and flags of its process, whose last line of output is one JSON object.
        operations: that it needs.
        package: without which it is left out; empty if it needs none that may be missing.
        lowers: whether its process needs TensorFlow and takes `--program=FILE`, with which it lowers its step into that
            file for a machine without it.
    """

    subject: str
    length: int
    command: Sequence[str]
    operations: int = 0
    package: str = ""
    lowers: bool = False


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
    plan: Plan, seconds: float, output: pathlib.Path, cpu: bool, clock: Callable[[], float] = time.monotonic
) -> dict[str, Any]:
    """Measures the points of a plan, and prints a line for each.

    Args:
        plan: the plan.
        seconds: limit of all together.
        output: file of the results, which is written after each point.
        cpu: whether a CPU may take the place of the GPU.
        clock: gives the time in seconds.

    Returns:
        The content of the file: what the plan is about, the `machine`, `points` with the result of each, `seconds`, and
        `not_installed`, the packages for whose lack points were left out.

    Raises:
        ValueError: if `output` is there, or if there is no GPU and a CPU may not take its place.
    """
    if output.exists():
        raise ValueError(f"--output must be a new file. Received: {output}")
    start = clock()
    missing = sorted({p.package for p in plan.points if p.package and importlib.util.find_spec(p.package) is None})
    found = {**plan.about, "gpu": plan.gpu, "peak": plan.peak, "machine": machine.describe(), "not_installed": missing}
    found["points"] = measured = []
    for point in plan.points:
        if point.package in missing:
            continue
        result = {"status": NO_TIME, "seconds": 0.0, "reason": f"the {seconds:g} s are over"}
        if (left := start + seconds - clock()) > 0:
            result = limited_process.run([sys.executable, "-m", *point.command], left)
        if result.get("device") == "cpu" and not cpu:
            raise ValueError("there must be a GPU, or --cpu, with which a CPU takes its place. Received: device cpu")
        measured.append(_completed(result, point, plan))
        found["seconds"] = clock() - start
        _write(found, output)
        print(line(measured[-1]), flush=True)
    return found


def _completed(result: dict[str, Any], point: Point, plan: Plan) -> dict[str, Any]:
    """The result of a point with what it is, its speed, and its share of the peak of a GPU for which that is known."""
    about = {"subject": point.subject, "length": point.length, "operations": point.operations}
    if result["status"] == limited_process.TIMEOUT:
        return {**result, "status": NO_TIME, **about}
    if result["status"] != limited_process.DONE or point.subject == CHECK:
        return {**result, **about}
    known = result["device"].startswith(plan.gpu)
    of_peak = point.operations / result["step_s"] / plan.peak if known else None
    return {**result, **about, "tokens_per_s": point.length / result["step_s"], "share_of_peak": of_peak}


def line(point: Mapping[str, Any]) -> str:
    """The result of a point as one line."""
    name = f"{point['subject']}, {point['length']:,} tokens"
    if point["status"] != limited_process.DONE:
        return f"{name}: {limited_process.failure(point)}"
    if point["subject"] == CHECK:
        verdict = "equal" if point["passed"] else "DIFFERENT"
        errors = f"loss {point['loss_error']:.1e}, gradients {point['gradient_error']:.1e} off"
        return f"{name}: {verdict}; {errors}; {point['device']}"
    said = [f"{1000 * point['step_s']:,.1f} ms", f"{point['tokens_per_s']:,.0f} tokens/s"]
    if point["share_of_peak"] is not None:
        said.append(f"{point['share_of_peak']:.1%} of the peak")
    for label in ("peak", "temporary"):
        if point.get(f"{label}_bytes") is not None:
            said.append(f"{point[f'{label}_bytes'] / _GIB:,.2f} GiB {label}")
    return f"{name}: {', '.join(said)}; {point['device']}, {point['seconds']:.0f} s in all"


def failure(found: Mapping[str, Any]) -> str:
    """Why a run was no success: its numbers were not checked, or differ, or a point failed; empty if it was one."""
    points = found["points"]
    if not any(p["subject"] == CHECK and p.get("passed") for p in points):
        return "the numbers of the device are not those of the CPU, or were not compared"
    failed = [p for p in points if p["status"] not in (limited_process.DONE, NO_TIME)]
    return f"{len(failed)} of {len(points)} points failed" if failed else ""


def main(plan: Plan, seconds: float, output: pathlib.Path, cpu: bool) -> None:
    """Runs a plan, and prints the results as the last line; ends the process with 1 if it was no success."""
    try:
        found = run(plan, seconds, output, cpu)
    except (ValueError, OSError) as error:
        sys.exit(f"Error: {error}")
    print(json.dumps(found))
    if reason := failure(found):
        sys.exit(f"Error: {reason}")


def _write(found: Mapping[str, Any], output: pathlib.Path) -> None:
    """Writes the results aside and puts them in place, so that the file is complete at any time."""
    aside = output.with_name(f".{output.name}.new")
    aside.write_text(json.dumps(found) + "\n", encoding="utf-8")
    os.replace(aside, output)
