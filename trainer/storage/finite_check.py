"""Checks that arrays are finite, before they are saved as a state that a run goes on from."""

from collections.abc import Mapping

import numpy as np

_CHUNK = 1 << 18  # Numbers at a time, so that the result of a comparison stays in the cache of the processor.
_NAMED = 5


class NotFiniteArraysError(ValueError):
    """Raised for arrays that are not finite; the message counts and names them."""


def check(arrays: Mapping[str, np.ndarray]) -> None:
    """Checks that every number is finite.

    Args:
        arrays: Arrays by name.

    Raises:
        NotFiniteArraysError: If one is NaN or infinite.
    """
    found = [name for name, array in arrays.items() if not _is_finite(array)]
    if found:
        named = ", ".join(found[:_NAMED]) + (", ..." if len(found) > _NAMED else "")
        raise NotFiniteArraysError(f"{len(found)} of {len(arrays)} arrays are not finite ({named})")


def _is_finite(array: np.ndarray) -> bool:
    if array.dtype.kind in "biuUSO":  # Integers, and values that are no numbers.
        return True
    flat = array.reshape(-1)
    return all(np.isfinite(flat[first : first + _CHUNK]).all() for first in range(0, flat.size, _CHUNK))
