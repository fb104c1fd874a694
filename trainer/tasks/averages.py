"""Sums over a batch, and what follows from sums over any number of batches."""

import math
from collections.abc import Mapping

import numpy as np
import tensorflow as tf


def count(flags: tf.Tensor) -> tf.Tensor:
    """Counts what is True, in float32, as all sums of a batch are."""
    return tf.reduce_sum(tf.cast(flags, tf.float32))


def look_up(numbers: np.ndarray, ids: tf.Tensor) -> tf.Tensor:
    """Looks up a number for each id, any number for an unknown id: the loss of that decides about the step."""
    return tf.gather(numbers, tf.clip_by_value(ids, 0, len(numbers) - 1))


def bits(nats: float, targets: float) -> float:
    """Computes bits a target; not a number without any.

    Example:
        >>> import math
        >>> bits(nats=2.0 * math.log(2.0), targets=4.0)
        0.5
    """
    return nats / targets / math.log(2.0) if targets else math.nan


def fraction(part: float, whole: float) -> float:
    """Divides two sums; not a number where there was nothing."""
    return part / whole if whole else math.nan


def accuracy(sums: Mapping[str, float], targets: str) -> dict[str, float]:
    """Computes the fraction of targets that are the likeliest.

    Args:
        sums: Sums by name, with `right` only in an evaluation.
        targets: The name of the number of targets.

    Returns:
        `accuracy`; nothing in a training step.
    """
    return {"accuracy": fraction(sums["right"], sums[targets])} if "right" in sums else {}
