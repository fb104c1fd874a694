"""The time of calls; needs nothing but Python."""

import statistics
import time
from collections.abc import Callable


def median_seconds(call: Callable[[], object], number: int) -> float:
    """The median time of so many calls, each of which returns when its work is done."""
    seconds = []
    for _ in range(number):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)
