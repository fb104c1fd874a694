"""Compares two computations of a layer whose hashes may differ by rounding.

Rounding may move a token near the boundary of two buckets into the other one. So outputs are compared with the same
buckets on both sides, and buckets are compared apart from that: where they differ there must be a near-tie.
"""

from typing import Any

import keras
import numpy as np

from reformer_tf.ops import bucket_counts
from tests.conformance import cases
from tests.testing import attention_reference as reference
from tests.testing import chunk_window_reference, near_ties

BOUND = 1e-5


def assert_same(actual: np.ndarray, expected: np.ndarray, bound: float = BOUND) -> None:
    """Checks that arrays are finite, of one shape, and at most `bound` apart, relative to the largest if above one."""
    assert actual.shape == expected.shape
    assert np.isfinite(actual).all()
    assert np.max(np.abs(actual - expected), initial=0.0) <= bound * max(1.0, np.max(np.abs(expected), initial=0.0))


def factors(layer: Any, length: int) -> tuple[int, ...]:
    """The factors of the bucket count of a hashing layer in a call of this length."""
    if layer.num_buckets is not None:
        return bucket_counts.bucket_factors(layer.num_buckets)
    if layer.window == "chunk":
        longest = layer.max_sequence_length or bucket_counts.DEFAULT_LENGTH
        padded = cases.chunk_window(layer).padded(length)
        return chunk_window_reference.bucket_factors(padded, layer.chunk_length, longest)
    return bucket_counts.default_num_buckets(layer.max_sequence_length, layer.chunk_length)


def assert_same_buckets(
    layer: keras.layers.Layer,
    x: np.ndarray,
    buckets: np.ndarray | None,
    others: np.ndarray | None,
    mask: np.ndarray | None = None,
) -> None:
    """Checks buckets of the tokens that both have, up to near-ties of the stored rotations.

    Args:
        layer: An attention layer; one that does not hash has no buckets and passes.
        x: Inputs `[B, L, M]`.
        buckets: `[B, H, R, L]`.
        others: The same of another computation, perhaps of another length.
        mask: `[B, L]`, True for real tokens.
    """
    if buckets is None:
        return
    length = min(buckets.shape[-1], others.shape[-1])
    bias = np.asarray(layer.trainable_variables[1]) if layer.use_bias else 0.0
    q = reference.project(x[:, :length], np.asarray(layer.trainable_variables[0]), bias)
    (rotations,) = [np.asarray(weight) for weight in layer.weights if weight.name == "rotations"]
    gaps = near_ties.gaps(reference.rotate(q) if layer.rotary else q, rotations, factors(layer, length))
    mask = np.ones([len(x), length], bool) if mask is None else mask[:, :length]
    near_ties.count_flips(buckets[..., :length], others[..., :length], gaps, 1e-5, mask)


def call(layer: keras.layers.Layer, x: np.ndarray, buckets: np.ndarray | None, **kwargs: Any) -> np.ndarray:
    """Calls a layer with the given buckets."""
    with cases.replaying(buckets):
        return np.asarray(layer(x, **kwargs))
