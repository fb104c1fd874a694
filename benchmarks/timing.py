"""The time that a function takes."""

import statistics
import time
from collections.abc import Callable


def median_seconds(run: Callable[[], object], repeat: int, at_least: float = 0.0) -> float:
    """The median time of a call, after one that is not timed.

    Args:
        run: what is timed; it returns when the work is done.
        repeat: calls that are timed at least.
        at_least: seconds for which calls are timed at least, so that short ones are timed often.
    """
    run()
    seconds: list[float] = []
    begin = time.perf_counter()
    while len(seconds) < repeat or time.perf_counter() - begin < at_least:
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)
