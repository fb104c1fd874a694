"""Measures training steps, of any framework, in the same way: a short one, one that is not timed, and timed ones."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.measuring.sizes import VOCABULARY
from trainer.training.memory import peak_mib, resident_mib

_SHORT = 256

Step = Callable[[np.ndarray, int], float]
"""Makes the step of an index on ids with their targets, `[B, L + 1]`, and returns the mean loss."""


def random_ids(batch: int, length: int) -> np.ndarray:
    """Ids with their targets, int32 `[batch, length + 1]`."""
    return np.random.default_rng(0).integers(0, VOCABULARY, (batch, length + 1), dtype=np.int32)


def timed(step: Step, ids: np.ndarray, index: int) -> float:
    """The seconds of a step.

    Raises:
        FloatingPointError: if the loss is not finite.
    """
    start = time.perf_counter()
    loss = step(ids, index)
    seconds = time.perf_counter() - start
    if not np.isfinite(loss):
        raise FloatingPointError(f"The loss of step {index} is {loss}.")
    return seconds


def median_seconds(step: Step, ids: np.ndarray, first: int, number: int) -> float:
    """The median time of so many steps from an index on."""
    return statistics.median(timed(step, ids, first + index) for index in range(number))


def measure(step: Step, batch: int, length: int, repeat: int) -> dict[str, Any]:
    """Measures the time and the memory of a step.

    Args:
        step: the step.
        batch: B.
        length: L.
        repeat: the number of timed steps.

    Returns:
        `tokens_per_s` (median), `step_s`, `peak_mib` of the process, and `base_mib`, its resident size after a step at
        length 256.
    """
    ids = random_ids(batch, length)
    timed(step, ids[:, : min(_SHORT, length) + 1], 0)
    base = resident_mib()
    timed(step, ids, 1)
    median = median_seconds(step, ids, 2, repeat)
    return {"tokens_per_s": batch * length / median, "step_s": median, "peak_mib": peak_mib(), "base_mib": base}
