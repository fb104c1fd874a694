"""Ablation of attention: sets the outputs of all attention layers of a model to zero for a while."""

import contextlib
from collections.abc import Iterator

import keras
import numpy as np

from reformer_tf.layers.attention.registry import ATTENTION_LAYERS

_OUTPUT = ("output", "output_bias")


def output_weights(model: keras.Model) -> list[keras.Variable]:
    """Finds the weights that project the outputs of attention layers to the residual stream.

    Args:
        model: A model with layers of the registered kinds, at any depth.

    Returns:
        The output kernels, and biases if there are any.
    """
    kinds = tuple(ATTENTION_LAYERS.values())
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, kinds)]
    return [weight for layer in layers for weight in layer.trainable_weights if weight.name in _OUTPUT]


@contextlib.contextmanager
def without_attention(model: keras.Model) -> Iterator[None]:
    """Sets the output weights of all attention layers to zero, and restores them at the end.

    Args:
        model: A model with attention layers.

    Raises:
        ValueError: If the model has none.
    """
    weights = output_weights(model)
    if not weights:
        raise ValueError(f"`model` must have attention layers. Received: {model.name}")
    saved = [np.array(weight.numpy()) for weight in weights]
    try:
        for weight, value in zip(weights, saved, strict=True):
            weight.assign(np.zeros_like(value))
        yield
    finally:
        for weight, value in zip(weights, saved, strict=True):
            weight.assign(value)
