"""Compares the loss and the gradients of a step with those of another device; needs nothing but numpy."""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

TOLERANCE = 1e-4
"""Of both errors in float32.

They are some 1e-6. One token that another rounding puts in another bucket makes 1e-3 and more.
"""


def errors(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> dict[str, float | bool]:
    """Compares results.

    Args:
        found: the loss and all gradients of the device.
        expected: the same of the CPU.

    Returns:
        `loss_error`, relative; `gradient_error`, the norm of the difference of all gradients over their norm;
        `passed`, whether both are below `TOLERANCE`.
    """
    differences, norms = (
        [float(np.linalg.norm(np.asarray(x, np.float64))) for x in arrays]
        for arrays in ([np.subtract(x, y, dtype=np.float64) for x, y in zip(found, expected, strict=True)], expected)
    )
    loss_error = differences[0] / norms[0]
    gradient_error = float(np.linalg.norm(differences[1:]) / np.linalg.norm(norms[1:]))
    passed = max(loss_error, gradient_error) < TOLERANCE  # False for NaN, too.
    return {"loss_error": loss_error, "gradient_error": gradient_error, "passed": passed}


def save(path: pathlib.Path, arguments: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> None:
    """Saves the arguments of a step and the results of the CPU."""
    arrays: dict[str, Any] = {f"argument{index}": array for index, array in enumerate(arguments)}
    arrays |= {f"result{index}": array for index, array in enumerate(expected)}
    np.savez(path, **arrays)


def load(path: pathlib.Path) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Reads the arguments and the results that `save` wrote."""
    with np.load(path) as saved:
        arguments, expected = (
            [saved[f"{kind}{index}"] for index in range(sum(name.startswith(kind) for name in saved.files))]
            for kind in ("argument", "result")
        )
    return arguments, expected
