"""Timer for checkpoints that are due by the clock, besides those that are due by the step."""

import time


class CheckpointTimer:
    """Measures the time since the last checkpoint.

    The timers of several processes need not agree, because only the chief writes checkpoints.

    Args:
        minutes: Longest time between two checkpoints; 0 for no limit.
    """

    def __init__(self, minutes: float):
        self._seconds = 60.0 * minutes
        self.restart()

    def restart(self) -> None:
        """Starts anew, because a checkpoint was begun."""
        self._began = time.monotonic()

    def is_due(self) -> bool:
        """Whether a checkpoint is due."""
        return self._seconds > 0 and time.monotonic() - self._began >= self._seconds
