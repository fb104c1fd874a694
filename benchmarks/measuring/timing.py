"""Measures the time that a function takes."""

import time
from collections.abc import Callable


def seconds(run: Callable[[], object], repeat: int, at_least: float = 0.0) -> list[float]:
    """The times of several calls, after one that is not timed.

    Args:
        run: the function to time; it returns when the work is done.
        repeat: the least number of timed calls.
        at_least: the least number of seconds of timed calls, so that short calls are timed often.
    """
    run()
    taken: list[float] = []
    begin = time.perf_counter()
    while len(taken) < repeat or time.perf_counter() - begin < at_least:
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return taken
