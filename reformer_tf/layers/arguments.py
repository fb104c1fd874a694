"""Checks of arguments, with errors that name the argument, the rule and what was received."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from reformer_tf.ops import id_ranges


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


def optional(check: Callable[[str, Any], Any], name: str, value: Any) -> Any:
    """Returns None for None, and `check(name, value)` for everything else."""
    return None if value is None else check(name, value)


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


def is_number(value: Any) -> bool:
    """Whether `value` is an int or a float, of Python or of numpy, and no bool."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


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


@tf.autograph.experimental.do_not_convert
def dense(name: str, value: Any) -> None:
    """Refuses ragged and sparse tensors, symbolic ones too, which would fail later or be read as something else.

    Raises:
        ValueError: if `value` is one, or a list, tuple or dict with one in it.
    """
    if isinstance(value, dict):
        for key, entry in value.items():
            dense(f"{name}[{key!r}]", entry)
    elif isinstance(value, list | tuple):
        for entry in value:
            dense(name, entry)
    elif isinstance(value, tf.RaggedTensor) or getattr(value, "ragged", False) is True:
        raise ValueError(
            f"{name} must be a dense tensor: ragged.to_tensor() makes one, and mask=tf.sequence_mask("
            f"ragged.row_lengths()) says which entries are real. Received: {name} as a RaggedTensor of shape"
            f" {value.shape}"
        )
    elif isinstance(value, tf.SparseTensor) or _is_sparse_input(value):
        raise ValueError(
            f"{name} must be a dense tensor: tf.sparse.to_dense(sparse) makes one. Received: {name} as a SparseTensor"
            f" of shape {value.shape}"
        )


def _is_sparse_input(value: Any) -> bool:
    # For outputs of operations the flag may be wrong: Keras takes a product with a Python number for sparse.
    if not isinstance(value, keras.KerasTensor) or not value.sparse:
        return False
    return isinstance(value._keras_history.operation, keras.layers.InputLayer)


def known_rank(name: str, value: Any) -> None:
    """Refuses a tensor of unknown rank, on which Keras fails.

    Raises:
        ValueError: if `value` is one.
    """
    if isinstance(value, tf.Tensor) and value.shape.rank is None:
        raise ValueError(f"{name} must have a known rank. Received: {_received(name, value)}")


def vectors(name: str, value: Any, rank: int | None = None, width: int | None = None) -> None:
    """Checks vectors: a tensor, symbolic tensor or array of floating numbers, the last axis of a known size.

    Args:
        name: of the argument.
        value: of the argument.
        rank: 3 for `[batch, length, width]` with a length of at least 1; None for any number of axes.
        width: the size that the last axis must have; None for any.

    Raises:
        ValueError: if it is anything else.
    """
    dense(name, value)
    shape, dtype = _described(value)
    axes = "[batch, length, width] with a length of at least 1" if rank == 3 else "[..., width]"
    fits = dtype is not None and dtype.is_floating and bool(shape.rank) and rank in (None, shape.rank)
    fits = fits and bool(shape[-1]) and width in (None, shape[-1]) and (rank != 3 or shape[1] != 0)
    if not fits:
        expected = [f"ndim={rank}"] if rank else []
        expected += [f"axis -1 of size {width}"] if width else []
        raise ValueError(
            f"{name} must be floating numbers {axes}, of known rank and width"
            f"{''.join(f', expected {what}' for what in expected)}. Received: {_received(name, value)}"
        )


def token_ids(name: str, value: Any) -> None:
    """Checks the type and rank of ids `[batch, length]`: a tensor, symbolic tensor or array of integers.

    Raises:
        ValueError: if it is anything else; floating numbers, too, since half precision rounds them to other ids.
    """
    dense(name, value)
    shape, dtype = _described(value)
    integers = dtype is not None and (dtype.is_integer or (dtype.is_floating and _is_mean_of_replicas(value)))
    if not integers or shape.rank != 2:
        raise ValueError(f"{name} must be integers [batch, length]. Received: {_received(name, value)}")


def _is_mean_of_replicas(value: Any) -> bool:
    """Whether Keras only computes shapes: for a distributed batch, `fit` then passes the mean over the replicas."""
    symbolic = isinstance(value, tf.Tensor) and not hasattr(value, "numpy")
    return symbolic and tf.distribute.has_strategy() and tf.distribute.in_cross_replica_context()


def _described(value: Any) -> tuple[tf.TensorShape, tf.DType | None]:
    """The shape and type of a tensor or array; no type if it is neither."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is None or dtype is None:
        return tf.TensorShape(None), None
    try:
        return tf.TensorShape(shape), tf.as_dtype(dtype)
    except TypeError:
        return tf.TensorShape(shape), None


def _received(name: str, value: Any) -> str:
    shape, dtype = _described(value)
    if dtype is None:
        return f"{name} of type {type(value).__name__}"
    return f"{name} of shape {'unknown' if shape.rank is None else shape} and dtype {dtype.name}"


def plain(value: Any) -> Any:
    """Converts a value for a config: tuples to lists, numpy's numbers to Python's."""
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return value.item() if isinstance(value, np.generic) else value


def per_token(name: str, value: Any, dtype: tf.DType, tokens: tf.Tensor) -> tf.Tensor:
    """Returns `value` as a tensor `[B, L]` of `dtype`.

    Args:
        name: of the argument.
        value: one boolean or integer for each token.
        dtype: of the result.
        tokens: `[B, L, ...]`, the tokens.

    Raises:
        ValueError: if it is a floating tensor or its shape is not that of the tokens.
    """
    dense(name, value)
    value = tf.convert_to_tensor(value)
    fits = value.shape.rank == 2 and value.shape.is_compatible_with(tokens.shape[:2])
    if not fits or not (value.dtype.is_integer or value.dtype.is_bool):
        raise ValueError(
            f"{name} must be a boolean or integer tensor [batch, length] = {tuple(tokens.shape[:2])},"
            " one entry a token."
            f" Received: {name} of shape {value.shape} and dtype {value.dtype.name}"
        )
    return id_ranges.int32(value) if dtype == tf.int32 else tf.cast(value, dtype)


def fresh(initializer: Any) -> Any:
    """Copies a Keras initializer, so that two weights of one shape do not start with equal values."""
    if isinstance(initializer, keras.initializers.Initializer):
        return initializer.clone()
    return initializer


def accepted(layer: keras.layers.Layer, options: dict[str, Any], required: bool = False) -> dict[str, Any]:
    """Selects the call arguments that have a value and that `layer.call` takes by name.

    Args:
        layer: any Keras layer.
        options: values by name.
        required: whether to leave out arguments that have a default.
    """
    parameters = dict(inspect.signature(layer.call).parameters)
    if required:
        parameters = {name: x for name, x in parameters.items() if x.default is inspect.Parameter.empty}
    return {name: value for name, value in options.items() if value is not None and name in parameters}
