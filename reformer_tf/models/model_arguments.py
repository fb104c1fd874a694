"""Checks of model arguments: their names, and the values that a backbone passes on to its layers; seeds and policies.

A model passes arguments that it does not know to its backbone.
"""

import inspect
from collections.abc import Iterable
from typing import Any

import keras

from reformer_tf.layers import arguments

_SIZES = (
    "vocabulary_size",
    "max_sequence_length",
    "num_layers",
    "hidden_dim",
    "num_heads",
    "key_dim",
    "intermediate_dim",
    "chunk_length",
    "num_hashes",
)
_SIZES_OR_NONE = ("local_chunk_length", "feed_forward_chunk_length")
_LISTS_OR_NONE = ("axial_shape", "axial_dims")
_BOOLEANS = ("reversible", "causal", "redraw_rotations", "gated", "rotary")
_RATES = ("dropout", "attention_dropout")
_CALL_ARGUMENTS = ("inputs", "mask", "segment_ids", "seed", "training")
# Layers of a model get seeds this far apart from those of a model with the next seed.
_SEEDS_A_MODEL = 100_003


def check_values(config: dict[str, Any]) -> None:
    """Checks numbers and booleans of a backbone: its layers would not check them, or would name them differently.

    Raises:
        ValueError: for a value that is out of range or of a wrong type.
    """
    for name in (*_SIZES, *_SIZES_OR_NONE):
        if name in _SIZES or config[name] is not None:
            arguments.positive_integer(name, config[name])
    for name in _BOOLEANS:
        arguments.boolean(name, config[name])
    for name in _LISTS_OR_NONE:
        if not (config[name] is None or isinstance(config[name], list)):
            raise ValueError(f"{name} must be a list of sizes. Received: {name}={config[name]!r}")
    for name in _RATES:
        arguments.rate(name, config[name])
    arguments.positive_number("layer_norm_epsilon", config["layer_norm_epsilon"])
    if config["embedding_scale"] is not None:
        arguments.positive_number("embedding_scale", config["embedding_scale"])


def check_used(config: dict[str, Any]) -> None:
    """Refuses arguments of a backbone that none of its layers would use.

    Raises:
        ValueError: for sizes of axial positions if the positions are not axial.
    """
    for name in _LISTS_OR_NONE:
        if config[name] is not None and config["positions"] != "axial":
            raise ValueError(
                f'{name} must be left out unless positions="axial".'
                f" Received: {name}={config[name]}, positions={config['positions']!r}"
            )


def check_call(owner: type, received: Iterable[str]) -> None:
    """Refuses call arguments that a backbone does not take; a functional Keras model would drop them silently.

    Raises:
        ValueError: for unknown names.
    """
    unknown = sorted(set(received) - set(_CALL_ARGUMENTS))
    if unknown:
        raise ValueError(
            f"Call arguments of {owner.__name__} must be some of {', '.join(_CALL_ARGUMENTS)}."
            f" Received: {', '.join(unknown)}"
        )


def refuse_unknown(owners: Iterable[type], received: Iterable[str]) -> None:
    """Refuses arguments that neither a model nor its backbone takes.

    `keras.Model` would accept some of them, and Python reports a missing argument before an unknown one; the config of
    another kind of model may have both.

    Args:
        owners: the class of the model, and that of its backbone if it has one.
        received: the names.

    Raises:
        ValueError: for unknown names.
    """
    owners = list(owners)
    known = [name for owner in owners for cls in owner.__mro__ for name in _own_arguments(cls)]
    unknown = sorted(set(received) - set(known))
    if unknown:
        raise ValueError(
            f"Arguments of {owners[0].__name__} must be some of {', '.join(dict.fromkeys(known))}."
            f" Received: {', '.join(unknown)}"
        )


def layer_seeds(seed: int) -> range:
    """The seeds of a model's layers: the backbone takes them from the start, a head from the end."""
    return range(arguments.non_negative_integer("seed", seed) * _SEEDS_A_MODEL, (seed + 1) * _SEEDS_A_MODEL)


def dtype_policy(dtype: Any) -> Any:
    """The dtype policy that `dtype` names, Keras' current one if it is None."""
    policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
    if not isinstance(policy, keras.dtype_policies.DTypePolicyMap):
        return policy
    # The map gets a default policy, because Keras' config of a map without one forgets all its policies.
    return keras.dtype_policies.DTypePolicyMap(policy.default_policy.name, {path: policy[path] for path in policy})


def _own_arguments(cls: type) -> list[str]:
    """Names of the arguments that a class of this package, or one derived from it, declares itself."""
    if "__init__" not in vars(cls) or cls.__module__.split(".")[0] in ("keras", "tensorflow", "builtins"):
        return []
    parameters = list(inspect.signature(vars(cls)["__init__"]).parameters.values())[1:]
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
