"""The progress line of a run: speed, and the time that is left."""

import math
import time


class Progress:
    """Measures the steps of a run.

    Only the time between `begin` and `end` counts, so evaluations and checkpoints do not make the steps look slower.

    Args:
        steps: Number of steps of the whole run.
    """

    def __init__(self, steps: int):
        self._steps = steps
        self._began = 0.0
        self._seconds = 0.0
        self._tokens = 0.0
        self._count = 0
        self._warm = False  # The first step traces and compiles: no measure of those to come.

    def begin(self) -> None:
        """A step begins."""
        self._began = time.perf_counter()

    def end(self, tokens: float) -> None:
        """The step is done.

        Args:
            tokens: Number of targets in its batch.
        """
        self._seconds += time.perf_counter() - self._began
        self._tokens += tokens
        self._count += 1

    def line(self, step: int, loss: float, bits_per_byte: float) -> tuple[str, float]:
        """Makes the line for the steps since the last line.

        Args:
            step: Number of steps done.
            loss: Nats a token of that step.
            bits_per_byte: Of that step.

        Returns:
            The line, and tokens a second.
        """
        speed = self._tokens / max(self._seconds, 1e-9)
        left = duration((self._steps - step) * self._seconds / max(self._count, 1)) if self._warm else "-:--"
        self._warm = True
        self._seconds, self._tokens, self._count = 0.0, 0.0, 0
        width = len(str(self._steps))
        text = (
            f"step {step:{width}}/{self._steps}  loss {loss:.4f}  bits/byte {bits_per_byte:.3f}  "
            f"{speed:,.0f} tokens/s  {left} left"
        )
        return text, speed


def duration(seconds: float) -> str:
    """Writes a duration as minutes:seconds or hours:minutes:seconds.

    Example:
        >>> duration(3725)
        '1:02:05'
    """
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
