"""Attention by random features in numpy, slow and obvious, in float64; to be read beside the paper (arXiv 2009.14794).

The weight of a pair is sum_f phi_f(x) phi_f(y) with x = q D^-1/4 and y = k D^-1/4, here from the logarithms of all
products of features; a softmax over these logarithms is the paper's D^-1 A V. Factors that all features of a query have
in common, such as 1/sqrt(m), are left in.

L length, D depth of a head, r rows, m features.
"""

import numpy as np


def log_features(features: str, x: np.ndarray, rows: np.ndarray | None) -> np.ndarray:
    """The logarithms of phi(x), `[..., D]` to `[..., m]`.

    Args:
        features: As `PerformerSelfAttention` has them.
        x: A query or key, divided by D^1/4.
        rows: `[r, D]`, or None for features without.
    """
    if features == "elu":  # Katharopoulos et al. (2020), section 3.2.1: elu(x) + 1, whose lower branch is exp(x).
        return np.where(x > 0, np.log(np.maximum(x, 0) + 1), x)
    projections = x @ np.asarray(rows, np.float64).T
    if features == "relu":  # Section 2.2 with f = ReLU, plus the kernel epsilon.
        return np.log(np.maximum(projections, 0) + 1e-3)
    half_square = 0.5 * np.sum(x**2, axis=-1, keepdims=True)
    if features == "hyperbolic":  # Lemma 1, second line.
        both = np.concatenate([projections, -projections], axis=-1)
        return both - half_square - 0.5 * np.log(2 * len(rows))
    return projections - half_square - 0.5 * np.log(len(rows))  # Lemma 1, first line.


def log_weights(features: str, q: np.ndarray, k: np.ndarray, rows: np.ndarray | None) -> np.ndarray:
    """The logarithms of the weights of all pairs, `[..., L, L]`, from queries and keys `[..., L, D]`, not scaled."""
    root = q.shape[-1] ** 0.25
    a, b = (log_features(features, np.asarray(z, np.float64) / root, rows) for z in (q, k))
    # A query at a time: all products of features at once would be gigabytes.
    return np.stack([_log_sum_exp(a[..., i, None, :] + b) for i in range(q.shape[-2])], axis=-2)


def _log_sum_exp(x: np.ndarray) -> np.ndarray:
    highest = x.max(axis=-1, keepdims=True)
    return np.log(np.sum(np.exp(x - highest), axis=-1)) + highest[..., 0]
