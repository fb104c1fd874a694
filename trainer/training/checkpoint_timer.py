"""When a checkpoint is due by the clock, beside those that are due by the step."""

import time


class CheckpointTimer:
    """Measures the time since the last checkpoint.

    Each process may have its own: the process that writes the files alone acts on it, and the others take no part in
    writing.

    Args:
        minutes: How long a run may go on without a checkpoint; 0 for any time.
    """

    def __init__(self, minutes: float):
        self._seconds = 60.0 * minutes
        self.restart()

    def restart(self) -> None:
        """A checkpoint was begun."""
        self._began = time.monotonic()

    def is_due(self) -> bool:
        """Whether the time is over."""
        return self._seconds > 0 and time.monotonic() - self._began >= self._seconds
