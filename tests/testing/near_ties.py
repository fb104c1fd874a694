"""Finds hashes that rounding may flip.

Two computations of the same vector differ by rounding; its bucket differs between them only if the two best projections
are closer to each other than that.
"""

from collections.abc import Sequence

import numpy as np


def gaps(q: np.ndarray, rotations: np.ndarray, factors: Sequence[int]) -> np.ndarray:
    """The distance of the best projection to the second best, the smallest of all factors.

    Args:
        q: `[B, H, L, D]`, the vectors that are hashed.
        rotations: `[H, D, R, columns]`.
        factors: Even numbers, or 1 where there is one bucket, whose product is the number of buckets.

    Returns:
        float64 `[B, H, R, L]`.
    """
    smallest, column = np.full([*q.shape[:2], rotations.shape[2], q.shape[2]], np.inf), 0
    for factor in factors:
        if factor == 1:  # It needs no projection.
            continue
        p = np.einsum("bhld,hdrn->bhrln", q, rotations[..., column : column + factor // 2].astype(np.float64))
        p = np.sort(np.concatenate([p, -p], axis=-1), axis=-1)
        smallest = np.minimum(smallest, p[..., -1] - p[..., -2])
        column += factor // 2
    return smallest


def count_flips(buckets: np.ndarray, others: np.ndarray, gaps: np.ndarray, error: float, mask: np.ndarray) -> int:
    """Counts the tokens whose buckets differ, all of which must be near-ties.

    Args:
        buckets: `[B, H, R, L]`.
        others: The same of another computation.
        gaps: `[B, H, R, L]`, as `gaps` gives them.
        error: The error of projections, at most.
        mask: `[B, L]`, True for real tokens; the buckets of others mean nothing.

    Raises:
        AssertionError: If a bucket differs that is no near-tie.
    """
    flipped = (buckets != others) & mask[:, None, None, :]
    assert np.all(gaps[flipped] <= 2 * error), f"buckets differ at gaps of {np.sort(gaps[flipped])[::-1][:5]}"
    return int(flipped.sum())
