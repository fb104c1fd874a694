"""The loss scale in float16, in which small gradients would underflow."""

import math
from typing import Any

LEAST = 1.0
GREATEST = 2.0**24


class LossScale:
    """A factor of the loss that halves when a gradient overflows and doubles after enough steps without.

    It lives on the host: the loop passes its value to the step, which multiplies the loss and divides the summed
    gradient by it. All values are powers of two, so that neither operation rounds.

    Args:
        value: The scale to begin with, a power of two from `LEAST` to `GREATEST`.
        growth_steps: Number of steps without overflow, one after another, before it doubles.

    Attributes:
        value: The scale of the next step.
        good_steps: Number of steps without overflow since it last changed.
    """

    def __init__(self, value: float = 2.0**15, growth_steps: int = 2000):
        self.value = float(value)
        self.good_steps = 0
        self._growth_steps = growth_steps

    def count_good_step(self) -> None:
        """Counts a step whose gradient was finite."""
        self.good_steps += 1
        if self.good_steps >= self._growth_steps:
            self.value, self.good_steps = min(2.0 * self.value, GREATEST), 0

    def halve(self) -> None:
        """Halves the scale after a step whose gradient overflowed."""
        self.value, self.good_steps = max(0.5 * self.value, LEAST), 0

    def state(self) -> dict[str, Any]:
        """Returns the state for a checkpoint."""
        return {"value": self.value, "good_steps": self.good_steps}

    def restore(self, state: dict[str, Any]) -> None:
        """Restores a state that `state` returned."""
        self.value, self.good_steps = float(state["value"]), int(state["good_steps"])


def is_scale(value: float) -> bool:
    """Whether a value is a valid scale: a power of two from `LEAST` to `GREATEST`."""
    return LEAST <= value <= GREATEST and math.frexp(value)[0] == 0.5
