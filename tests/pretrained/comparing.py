"""Compares a loaded model with the original: first the buckets, then, with the same buckets, the outputs."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from unittest import mock

import keras
import numpy as np
import tensorflow as tf

from reformer_tf.models import ReformerBackbone
from reformer_tf.ops import hashing, replay
from reformer_tf.pretrained.weight_mapping import WeightTarget
from tests.testing import near_ties


def outputs(model: keras.Model, ids: np.ndarray, mask: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """The outputs of a model by their names in transformers."""
    return {name: value.numpy() for name, value in _named_outputs(model, ids, mask).items()}


def _named_outputs(model: keras.Model, ids: np.ndarray, mask: np.ndarray | None) -> dict[str, tf.Tensor]:
    outputs = model(ids, mask=mask) if mask is not None else model(ids)
    if isinstance(outputs, dict):
        return {f"{name}_logits": value for name, value in outputs.items()}
    return {"last_hidden_state" if isinstance(model, ReformerBackbone) else "logits": outputs}


def assert_same_outputs(
    model: keras.Model,
    ids: np.ndarray,
    mask: np.ndarray | None,
    expected: dict[str, np.ndarray],
    buckets: Sequence[np.ndarray | None],
    tolerance: float,
    factors: Sequence[int] | None = None,
) -> dict[str, float]:
    """Asserts that a model gives the outputs of the original where tokens are not masked.

    In the first layer with different buckets, these must be near-ties; the outputs are then compared with all buckets
    of the original.

    Args:
        model: the loaded model, with the rotations of the original.
        ids: `[B, L]`.
        mask: `[B, L]` or None.
        expected: outputs of the original by name.
        buckets: for each LSH layer `[B, H, R, L]`, or None where the original did not hash.
        tolerance: of outputs.
        factors: of the bucket count; needed where buckets may differ.

    Returns:
        `difference`, the largest of the outputs, `scale`, the standard deviation of the original's, and `flips`, the
        number of buckets that differ in the first such layer.
    """
    valid = np.ones(ids.shape, bool) if mask is None else mask
    with replay.recording() as recorded, _hashed() as hashed:
        found = outputs(model, ids, mask)
    # Where the original does not hash, all tokens see each other whatever their buckets, so ours are used.
    hashed_there = [their for their in buckets if their is not None]
    theirs = hashed_there if len(recorded) == len(hashed_there) else list(buckets)
    theirs = [our.numpy() if their is None else their for our, their in zip(recorded, theirs, strict=True)]
    flips = 0
    for number, (our, their) in enumerate(zip(recorded, theirs, strict=True)):
        differ = (our.numpy() != their) & valid[:, None, None, :]
        if not differ.any():
            continue
        vectors, rotations = hashed[number]
        gaps = near_ties.gaps(vectors, rotations, factors)
        # The scale of rounding errors in float32 after a few layers.
        error = 1e-5 * np.abs(np.einsum("bhld,hdrn->bhrln", vectors, rotations)).max()
        flips = near_ties.count_flips(our.numpy(), their, gaps, error, valid)
        with replay.replaying(theirs):
            found = outputs(model, ids, mask)
        break
    assert found.keys() == expected.keys()
    difference = 0.0
    for name, value in expected.items():
        assert found[name].shape == value.shape
        assert np.all(np.isfinite(found[name]))
        per_token = value.ndim == 3 or name in ("start_logits", "end_logits")
        chosen = (found[name][valid], value[valid]) if per_token else (found[name], value)
        difference = max(difference, float(np.abs(chosen[0] - chosen[1]).max()))
    assert difference <= tolerance, difference
    return {"difference": difference, "scale": max(float(v.std()) for v in expected.values()), "flips": flips}


@contextlib.contextmanager
def _hashed() -> Iterator[list[tuple[np.ndarray, np.ndarray]]]:
    """Yields a list that receives the vectors and rotations of each hash inside."""
    calls: list[tuple[np.ndarray, np.ndarray]] = []
    plain = hashing.hash_vectors

    def record(vectors: Any, rotations: Any, *rest: Any) -> Any:
        calls.append((np.asarray(vectors, np.float64), np.asarray(rotations, np.float64)))
        return plain(vectors, rotations, *rest)

    with mock.patch.object(hashing, "hash_vectors", record):
        yield calls


def gradients(
    model: keras.Model, ids: np.ndarray, mask: np.ndarray | None, weights: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The gradients of the sum of outputs times `weights`, by path of the weight."""
    with tf.GradientTape() as tape:
        outputs = _named_outputs(model, ids, mask)
        total = sum(tf.reduce_sum(outputs[name] * weight) for name, weight in weights.items())
    found = tape.gradient(total, [variable.value for variable in model.trainable_variables])
    return {v.path: tf.convert_to_tensor(g).numpy() for v, g in zip(model.trainable_variables, found, strict=True)}


def assert_same_gradients(
    found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray], targets: Mapping[str, WeightTarget]
) -> float:
    """Asserts that each gradient is that of the original to 1e-3 of its largest number.

    Args:
        found: by path of the weight.
        expected: by name of the original tensor.
        targets: by name of the original tensor, the weight of the model that it goes into.

    Returns:
        The largest relative difference.
    """
    assert set(targets) == set(expected)
    largest = 0.0
    for name, target in targets.items():
        value = target.value(expected[name])
        scale = np.abs(value).max()
        assert scale > 0, name
        largest = max(largest, float(np.abs(found[target.variable.path] - value).max() / scale))
        assert largest <= 1e-3, (name, largest)
    return largest
