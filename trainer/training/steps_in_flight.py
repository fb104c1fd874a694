"""Steps that are under way at once, for strategies whose workers need not wait for each other."""

import collections
from collections.abc import Callable
from typing import Any


class StepsInFlight:
    """Starts steps in order and gives back their results in order.

    With one step outstanding a step begins when the one before it is done. With more, a step may read weights that
    the steps before it have not updated yet (Recht et al., 2011).

    Args:
        start: Begins a step, given its number from 0 on, and returns a function that waits for the result.
        step: The first step to begin.
        max_in_flight: How many may be under way at once.

    Attributes:
        started: Number of steps begun so far, those before the first included.
    """

    def __init__(self, start: Callable[[int], Callable[[], Any]], step: int, max_in_flight: int = 1):
        self.started = step
        self._start = start
        self._max_in_flight = max_in_flight
        self._in_flight: collections.deque[Callable[[], Any]] = collections.deque()

    def next(self, last: int) -> Any:
        """Waits for the oldest step.

        Args:
            last: How many steps may be begun in all: none later than something that must see the state in between.

        Returns:
            What it gives.
        """
        while self.started < last and len(self._in_flight) < self._max_in_flight:
            self._in_flight.append(self._start(self.started))
            self.started += 1
        return self._in_flight.popleft()()
