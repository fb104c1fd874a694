"""Measures points one after another while a limit of time lasts; needs nothing but Python.

Each point is a process of its own, so that what one allocates or breaks does not matter to the next. The one under way
at the limit is ended, and what was measured before is always reported.
"""

import dataclasses
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from compilers.processes import limited_process

NO_TIME = "no_time"


@dataclasses.dataclass(frozen=True)
class Point:
    """A setting to measure.

    Attributes:
        subject: what is measured.
        length: L, the tokens of a sequence.
        command: module and flags of its process, whose last line of output is one JSON object.
        operations: that it needs.
        package: without which it is left out; empty if it needs none that may be missing.
    """

    subject: str
    length: int
    command: Sequence[str]
    operations: int = 0
    package: str = ""


def run(
    points: Sequence[Point], seconds: float, clock: Callable[[], float] = time.monotonic
) -> Iterator[dict[str, Any]]:
    """Measures points, and yields the result of each.

    Args:
        points: in sequence, the longest last.
        seconds: limit of all together.
        clock: gives the time in seconds.

    Yields:
        `subject`, `length` and `operations`, and what `limited_process.run` returns; where the time is over, before the
        point or in it, the `status` is `NO_TIME`.
    """
    end = clock() + seconds
    for point in points:
        result: dict[str, Any] = {"status": NO_TIME, "seconds": 0.0, "reason": f"the {seconds:g} s are over"}
        if (left := end - clock()) > 0:
            result = limited_process.run([sys.executable, "-m", *point.command], left)
        if result["status"] == limited_process.TIMEOUT:
            result["status"] = NO_TIME
        yield {**result, "subject": point.subject, "length": point.length, "operations": point.operations}
