"""Activations that Keras does not have, by name: `activation="quick_gelu"` of a feed-forward layer."""

import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("reformer_tf")
def gelu_tanh(x: Any) -> Any:
    """GELU by its approximation with tanh (Hendrycks and Gimpel, 2016)."""
    return keras.activations.gelu(x, approximate=True)


@keras.saving.register_keras_serializable("reformer_tf")
def gelu_clipped(x: Any) -> Any:
    """GELU clipped to [-10, 10], for quantised weights (Wu et al., 2020)."""
    return ops.clip(keras.activations.gelu(x, approximate=False), -10.0, 10.0)


@keras.saving.register_keras_serializable("reformer_tf")
def quick_gelu(x: Any) -> Any:
    """`x * sigmoid(1.702 x)`, a coarse approximation of GELU."""
    return x * ops.sigmoid(1.702 * x)


@keras.saving.register_keras_serializable("reformer_tf")
def laplace(x: Any) -> Any:
    """The distribution function of a normal variable with mean 0.707107 and deviation 0.282095 (Ma et al., 2022)."""
    return 0.5 * (1.0 + ops.erf((x - 0.707107) / (0.282095 * math.sqrt(2.0))))


@keras.saving.register_keras_serializable("reformer_tf")
def slight_leaky_relu(x: Any) -> Any:
    """Leaky ReLU with a slope of 0.01 below zero; that of Keras has 0.2."""
    return keras.activations.leaky_relu(x, negative_slope=0.01)


@keras.saving.register_keras_serializable("reformer_tf")
def squared_relu(x: Any) -> Any:
    """`max(x, 0) ** 2` (So et al., 2021)."""
    return ops.square(ops.relu(x))


@keras.saving.register_keras_serializable("reformer_tf")
def sqrt_softplus(x: Any) -> Any:
    """The square root of softplus."""
    return ops.sqrt(ops.softplus(x))


_OURS: dict[str, Callable[[Any], Any]] = {
    function.__name__: function
    for function in (gelu_tanh, gelu_clipped, quick_gelu, laplace, slight_leaky_relu, squared_relu, sqrt_softplus)
}


def get(identifier: Any) -> Callable[[Any], Any]:
    """Like `keras.activations.get`, and also finds the names of this file."""
    if isinstance(identifier, str) and identifier in _OURS:
        return _OURS[identifier]
    return keras.activations.get(identifier)
