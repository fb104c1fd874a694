"""Measures points one after another while a limit of time lasts; needs nothing but Python.

Each point is a process of its own, so that what one allocates or breaks does not matter to the next. Points that are
expected not to be done in time are left out, and one that takes longer than expected is ended at the limit, so that
what was measured before is always reported.
"""

import dataclasses
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.measuring import machine, point_process

NO_TIME = "no_time"


@dataclasses.dataclass(frozen=True)
class Point:
    """A setting to measure.

    Attributes:
        subject: what is measured; the time of later points of a subject is expected from earlier ones.
        length: L, the tokens of a sequence.
        command: module and flags of its process, whose last line of output is one JSON object. Its `run_s` are the
            seconds that grow with the length, out of all that the process takes.
        power: of the length, with which these seconds grow.
        operations: that it needs.
    """

    subject: str
    length: int
    command: Sequence[str]
    power: int = 1
    operations: int = 0


def run(
    points: Sequence[Point], seconds: float, clock: Callable[[], float] = time.monotonic
) -> Iterator[dict[str, Any]]:
    """Measures points, and yields the result of each.

    Args:
        points: in sequence, shorter ones of a subject first.
        seconds: limit of all together.
        clock: gives the time in seconds.

    Yields:
        `subject`, `length` and `operations`, and what `point_process.run` returns; or, where the time left is not
        enough, the `status` `NO_TIME` and the `reason`.
    """
    end = clock() + seconds
    done: dict[str, tuple[Point, Mapping[str, Any]]] = {}
    for point in points:
        left, expected = end - clock(), _expected(point, *done.get(point.subject, (None, None)))
        result: dict[str, Any]
        if left <= expected:
            result = {"status": NO_TIME, "reason": f"{max(left, 0):.0f} s left, {expected:.0f} s or more needed"}
        else:
            command = [sys.executable, "-m", *point.command]
            result = point_process.run(command, left, 0.9 * machine.memory_mib())
        if result["status"] == point_process.DONE:
            done[point.subject] = point, result
        yield {**result, "subject": point.subject, "length": point.length, "operations": point.operations}


def _expected(point: Point, before: Point | None, result: Mapping[str, Any] | None) -> float:
    """The seconds that a point takes, from those of a shorter one; zero if there is none."""
    if before is None or result is None:
        return 0.0
    return result["seconds"] + result["run_s"] * ((point.length / before.length) ** point.power - 1)
