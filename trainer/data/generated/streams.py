"""Random streams of generated data: the same numbers on every machine and with every version of numpy.

The stream of `np.random.RandomState` is frozen (numpy's NEP 19); the methods of the newer `Generator` may change theirs
from one version to the next. Only its integers and uniform doubles are used, which no library of the machine takes part
in, and never an integer type whose size depends on the machine.
"""

import numpy as np

# The parts of a data set. Their streams differ, so a part does not depend on whether, or how long, others were made.
PARTS = ("train", "validation", "test")


def make_stream(name: str, seed: int, part: str, batch: int = 0) -> np.random.RandomState:
    """Makes the stream of a batch of examples.

    Args:
        name: Name of the data set; equal seeds of different data sets give unrelated streams.
        seed: Seed of the data set; 64 bits of it count.
        part: Part of the data set, one of `PARTS`.
        batch: Number of the batch within the part.

    Returns:
        The stream, at its beginning.

    Raises:
        ValueError: If `part` is not one of `PARTS`.

    Examples:
        >>> make_stream("duplication", seed=0, part="train").randint(100, size=4, dtype=np.int64).tolist()
        [4, 79, 67, 3]
    """
    check_part(part)
    words = [seed % 2**32, seed // 2**32 % 2**32, PARTS.index(part), batch]
    return np.random.RandomState([*words, *name.encode()])


def check_part(part: str) -> None:
    """Checks the name of a part.

    Args:
        part: What was received.

    Raises:
        ValueError: If it is not one of `PARTS`.
    """
    if part not in PARTS:
        raise ValueError(f"`part` must be one of {', '.join(PARTS)}. Received: part={part!r}")


def check_integer(name: str, value: int, least: int, most: int | None = None) -> None:
    """Checks an argument of a data set.

    Args:
        name: Name of the argument.
        value: What was received.
        least: Smallest value.
        most: Largest value; None if there is none.

    Raises:
        ValueError: If the value is not an integer within these bounds.
    """
    is_integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_integer or value < least or (most is not None and value > most):
        bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"`{name}` must be an integer {bounds}. Received: {name}={value!r}")


def mix(values: np.ndarray) -> np.ndarray:
    """Mixes every bit of integers into all bits, bijectively (the steps of the SplitMix64 generator).

    Args:
        values: uint64 of any shape.

    Returns:
        uint64 of the same shape.

    Examples:
        >>> [hex(value) for value in mix(np.array([0, 1], np.uint64))]
        ['0xe220a8397b1dcdaf', '0x910a2dec89025cc1']
    """
    values = values + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        values = (values ^ (values >> np.uint64(shift))) * np.uint64(factor)
    return values ^ (values >> np.uint64(31))
