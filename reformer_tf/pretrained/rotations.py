"""Replaces the rotations of a model's LSH layers by those of another run."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from reformer_tf.layers import LSHSelfAttention
from reformer_tf.models.backbone import ReformerBackbone
from reformer_tf.pretrained import weight_mapping


def assign_rotations(model: keras.Model, rotations: Mapping[int, Any]) -> None:
    """Replaces stored rotations.

    Args:
        model: a backbone, or a model with one.
        rotations: by index of the layer, counted over all layers from 0, arrays
            `[num_heads, key_dim, num_hashes, columns]`. If the number of buckets depends on the length, an array with
            fewer columns than the stored one replaces its first columns.

    Raises:
        ValueError: for an index that is not that of an LSH layer, or another shape; nothing is changed then.
    """
    backbone = model if isinstance(model, ReformerBackbone) else model.backbone
    layers = {
        index: attention.layer
        for index, (attention, _) in enumerate(weight_mapping.blocks(backbone))
        if isinstance(attention.layer, LSHSelfAttention)
    }
    values = {}
    for index, passed in rotations.items():
        if isinstance(index, bool) or not isinstance(index, int | np.integer) or index not in layers:
            raise ValueError(
                "rotations must be for LSH layers by their index among all layers, counted from 0; those are"
                f" {sorted(layers)}. Received: {index!r}"
            )
        values[index] = _filled(int(index), layers[index], np.asarray(passed, np.float32))
    for index, value in values.items():
        _stored(layers[index]).assign(value)


def _stored(layer: LSHSelfAttention) -> keras.Variable:
    (variable,) = (v for v in layer.non_trainable_variables if v.name == "rotations")
    return variable


def _filled(index: int, layer: LSHSelfAttention, rotations: np.ndarray) -> np.ndarray:
    """The passed rotations, completed with the last columns of the stored ones."""
    stored = _stored(layer).numpy()
    *shape, columns = stored.shape
    fits = rotations.ndim == 4 and list(rotations.shape[:3]) == shape
    if not fits or not (
        rotations.shape[3] == columns or (layer.num_buckets is None and 0 < rotations.shape[3] < columns)
    ):
        rule = f"{columns}, or fewer since num_buckets is not set" if layer.num_buckets is None else f"{columns}"
        raise ValueError(
            f"rotations[{index}] must have the shape [num_heads, key_dim, num_hashes, columns] = {shape} and {rule}."
            f" Received: shape {list(rotations.shape)}"
        )
    if not np.all(np.isfinite(rotations)):
        raise ValueError(
            f"rotations[{index}] must be finite. Received: an array with {np.sum(~np.isfinite(rotations))} others"
        )
    return np.concatenate([rotations, stored[..., rotations.shape[3] :]], axis=-1)
