"""Steps in flight: several at once, for strategies whose workers need not wait for each other."""

import collections
from collections.abc import Callable
from typing import Any


class StepsInFlight:
    """Starts steps in sequence and returns their results in the same sequence.

    With one step in flight, a step begins when the previous one is done. With more, a step may read weights that
    earlier steps have not updated yet (Recht et al., 2011).

    Args:
        start: Starts a step, given its number from 0 on, and returns a function that waits for its result.
        step: Number of the first step to start.
        max_in_flight: Number of steps that may be in flight at once.

    Attributes:
        started: Number of steps started so far, those of earlier starts of the run included.
    """

    def __init__(self, start: Callable[[int], Callable[[], Any]], step: int, max_in_flight: int = 1):
        self.started = step
        self._start = start
        self._max_in_flight = max_in_flight
        self._in_flight: collections.deque[Callable[[], Any]] = collections.deque()

    def next(self, last: int) -> Any:
        """Starts steps as far as allowed, and waits for the oldest one in flight.

        Args:
            last: Largest number of steps that may be started: up to the next checkpoint or evaluation, which needs the
                state after exactly so many steps.

        Returns:
            The result of the oldest step.
        """
        while self.started < last and len(self._in_flight) < self._max_in_flight:
            self._in_flight.append(self._start(self.started))
            self.started += 1
        return self._in_flight.popleft()()
