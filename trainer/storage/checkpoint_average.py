"""The mean of the weights of several checkpoints of a run, with which Vaswani et al. translate (2017, section 6.1)."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np

from trainer.storage.checkpoints import Checkpoints


def check_count(count: int) -> None:
    """Checks how many checkpoints are to be averaged.

    Raises:
        ValueError: If it is less than one.
    """
    if count < 1:
        raise ValueError(f"`average_checkpoints` must be at least 1, which averages none. Received: {count}")


def steps_before(checkpoints: Checkpoints, step: int, count: int, retained: int) -> list[int]:
    """Finds the checkpoints to average with one that was read.

    Args:
        checkpoints: Those of the run.
        step: Step of the checkpoint that was read, the newest of the average.
        count: Number of checkpoints of the average.
        retained: `config.train.keep_checkpoints` of the run, for the message.

    Returns:
        Steps in descending order, one less than `count`.

    Raises:
        ValueError: If there are fewer.
    """
    before = [other for other in checkpoints.steps() if other < step]
    if count - 1 > len(before):
        there = ", ".join(map(str, (*before, step)))
        raise ValueError(
            f"`average_checkpoints` must be at most {len(before) + 1}, the number of checkpoints up to step {step} "
            f"({there}); a run keeps the newest `config.train.keep_checkpoints`, which is {retained}, and "
            f"its best. Received: {count}"
        )
    return before[::-1][: count - 1]


def mean(checkpoints: Iterable[Mapping[str, np.ndarray]], names: Collection[str]) -> dict[str, np.ndarray]:
    """Averages arrays, in float64. Of an iterator it holds one checkpoint at a time, beside the sums.

    Args:
        checkpoints: Arrays by name, at least one checkpoint; the newest first.
        names: The arrays to average, those that training changes.

    Returns:
        Arrays by name, of the dtypes that they had; the newest ones where they are not averaged.

    Raises:
        ValueError: If the checkpoints differ in a name or shape of what is averaged.

    Example:
        >>> newest = {"kernel": np.array([1.0, 4.0]), "seed": np.array(7)}
        >>> mean([newest, {"kernel": np.array([3.0, 0.0]), "seed": np.array(5)}], ["kernel"])
        {'kernel': array([2., 2.]), 'seed': array(7)}
    """
    found: dict[str, np.ndarray] = {}
    dtypes: dict[str, np.dtype] = {}
    count = 0
    for count, arrays in enumerate(checkpoints, 1):
        if count == 1:
            dtypes = {name: arrays[name].dtype for name in names if name in arrays}
            found = {name: array.astype(np.float64) if name in dtypes else array for name, array in arrays.items()}
            continue
        for name in dtypes:
            shape = arrays[name].shape if name in arrays else None
            if shape != found[name].shape:
                raise ValueError(
                    f"`checkpoints` must have the same arrays to average. Received: {name} of shape "
                    f"{found[name].shape} in the newest and {shape} in another one"
                )
            found[name] += arrays[name]
    for name, dtype in dtypes.items():
        found[name] = (found[name] / count).astype(dtype)
    return found


def describe(description: Mapping[str, Any]) -> str:
    """Writes which checkpoint a model has its weights from, or which ones.

    Example:
        >>> describe({"step": 30, "averaged_steps": [10, 20, 30]})
        'step 30 (the mean of the checkpoints of steps 10, 20, 30)'
    """
    steps = description.get("averaged_steps")
    mean_of = f" (the mean of the checkpoints of steps {', '.join(map(str, steps))})" if steps else ""
    return f"step {description['step']}{mean_of}"
