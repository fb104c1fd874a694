"""Checks of arguments, with errors that name the argument, the rule and what was received."""

import inspect
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from reformer_tf.ops import ranges


def integer(name: str, value: Any) -> int:
    """Returns `value` as an int.

    Raises:
        ValueError: if it is not an integer.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ValueError(f"{name} must be an integer. Received: {name}={value!r}")
    return int(value)


def positive_integer(name: str, value: Any) -> int:
    """Returns `value` as an int.

    Raises:
        ValueError: if it is not a positive integer.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} must be a positive integer. Received: {name}={value!r}")
    return int(value)


def non_negative_integer(name: str, value: Any) -> int:
    """Returns `value` as an int.

    Raises:
        ValueError: if it is not an integer, or negative.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
        raise ValueError(f"{name} must be an integer that is not negative. Received: {name}={value!r}")
    return int(value)


def positive_number(name: str, value: Any) -> float:
    """Returns `value` as a float.

    Raises:
        ValueError: if it is not a positive finite number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 < value < float("inf"):
        raise ValueError(f"{name} must be a positive number. Received: {name}={value!r}")
    return float(value)


def number(name: str, value: Any) -> float:
    """Returns `value` as a float.

    Raises:
        ValueError: if it is not a finite number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not np.isfinite(value):
        raise ValueError(f"{name} must be a finite number. Received: {name}={value!r}")
    return float(value)


def choice(name: str, value: Any, choices: Sequence[str]) -> str:
    """Returns `value`.

    Raises:
        ValueError: if it is none of `choices`.
    """
    if value not in choices:
        raise ValueError(f"{name} must be one of {tuple(choices)}. Received: {name}={value!r}")
    return value


def boolean(name: str, value: Any) -> bool:
    """Returns `value` as a bool.

    Raises:
        ValueError: if it is neither True nor False.
    """
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name} must be True or False. Received: {name}={value!r}")
    return bool(value)


def rate(name: str, value: Any) -> float:
    """Returns `value` as a float.

    Raises:
        ValueError: if it is not a number in [0, 1).
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 <= value < 1:
        raise ValueError(f"{name} must be a number in [0, 1). Received: {name}={value!r}")
    return float(value)


def plain(value: Any) -> Any:
    """A value as it stands in a config: lists for tuples, Python's numbers for numpy's."""
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return value.item() if isinstance(value, np.generic) else value


def per_token(name: str, value: Any, dtype: tf.DType, tokens: tf.Tensor) -> tf.Tensor:
    """Returns `value` as a tensor `[B, L]` of `dtype`.

    Args:
        name: of the argument.
        value: one boolean or integer for each token.
        dtype: what to cast to.
        tokens: `[B, L, ...]`, the tokens.

    Raises:
        ValueError: if it is a floating tensor or its shape is not that of the tokens.
    """
    value = tf.convert_to_tensor(value)
    fits = value.shape.is_compatible_with(tokens.shape[:2])
    if not fits or not (value.dtype.is_integer or value.dtype.is_bool):
        raise ValueError(
            f"{name} must be a boolean or integer tensor [batch, length] = {tuple(tokens.shape[:2])},"
            " one entry a token."
            f" Received: {name} of shape {value.shape} and dtype {value.dtype.name}"
        )
    return ranges.int32(value) if dtype == tf.int32 else tf.cast(value, dtype)


def fresh(initializer: Any) -> Any:
    """A copy of a Keras initializer, so that two weights of one shape do not start out equal."""
    if isinstance(initializer, keras.initializers.Initializer):
        return initializer.clone()
    return initializer


def accepted(layer: keras.layers.Layer, options: dict[str, Any]) -> dict[str, Any]:
    """Those of the call arguments `options` that have a value and that `layer.call` takes by name."""
    parameters = inspect.signature(layer.call).parameters
    return {name: value for name, value in options.items() if value is not None and name in parameters}
