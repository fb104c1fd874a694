"""Points, settings measured each in a process of its own, and the loop that measures those that are missing."""

import dataclasses
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.measuring.results import Results
from compilers.processes import limited_process, machine
from trainer.training.progress import duration


@dataclasses.dataclass(frozen=True)
class Point:
    """A setting to measure.

    Attributes:
        identity: what tells it from the other points of a file of results.
        command: module and flags of its process, whose last line of output is one JSON object.
        work: an estimate of its time, in any unit.
    """

    identity: Mapping[str, Any]
    command: Sequence[str]
    work: float = 1.0


def name(identity: Mapping[str, Any]) -> str:
    """The identity of a point as text."""
    return ", ".join(f"{field} {value}" for field, value in identity.items())


def measure(point: Point, timeout: float, memory_limit_mib: float | None = None) -> dict[str, Any]:
    """Measures a point in a new process, and says every minute that it is under way.

    Args:
        point: the point.
        timeout: seconds after which it is given up.
        memory_limit_mib: resident size at which it is given up; by default 0.9 of the machine's memory.

    Returns:
        The result of `limited_process.run`, the commit of the sources as `code`, and the load of the machine before.
    """
    # The load shows other work, which slows down frameworks unequally.
    about = {"code": machine.code(), "load_before": os.getloadavg()[0]}

    def waiting(seconds: float) -> None:
        print(f"{name(point.identity)}: under way for {duration(seconds)}", flush=True)

    return {**about, **limited_process.run([sys.executable, "-m", *point.command], timeout, memory_limit_mib, waiting)}


def run(
    points: Sequence[Point],
    results: Results,
    measure: Callable[[Point], dict[str, Any]],
    outcome: Callable[[dict[str, Any]], str],
    retry_failed: bool = True,
    say: Callable[[str], None] = lambda line: print(line, flush=True),
) -> list[dict[str, Any]]:
    """Measures the points that are missing, one after another, and reports the progress.

    Args:
        points: the points in sequence.
        results: earlier results, to which new ones are added.
        measure: measures one point.
        outcome: says what was measured of a point that is done.
        retry_failed: whether points that failed are measured again.
        say: takes a line of progress.

    Returns:
        The results of these points.
    """

    def found(point: Point) -> dict[str, Any] | None:
        known = results.find(point.identity)
        return known if known and (known["status"] == limited_process.DONE or not retry_failed) else None

    earlier = [known for point in points if (known := found(point))]
    if earlier:
        sources, now = sorted({known["code"] for known in earlier if "code" in known}), machine.code()
        warning = (
            "" if sources in ([], [now]) else f". Warning: now they are {now!r}, for which choose another --output"
        )
        say(f"{len(earlier)} of {len(points)} points are of earlier runs, measured with the sources {sources}{warning}")
    seconds = work = 0.0
    measured = []
    for number, point in enumerate(points, 1):
        known = found(point)
        is_missing = known is None
        if known is None:
            known = results.add(point.identity, measure(point))
        if known["seconds"]:
            seconds, work = seconds + known["seconds"], work + point.work
        if is_missing:
            left = seconds / work * sum(p.work for p in points[number:]) if work else None
            said = outcome(known) if known["status"] == limited_process.DONE else limited_process.failure(known)
            time_left = "-:--" if left is None else duration(left)
            say(f"point {number} of {len(points)}: {name(point.identity)}: {said}; {time_left} left")
        measured.append(known)
    return measured
