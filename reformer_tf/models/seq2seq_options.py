"""The arguments of a model with an encoder and a decoder: which of the two gets which."""

import inspect
from collections.abc import Mapping
from typing import Any

import keras

from reformer_tf.layers import arguments
from reformer_tf.layers.attention import registry
from reformer_tf.models import attention_kinds
from reformer_tf.models.backbone import ReformerBackbone

_SIDES = ("encoder", "decoder")
# What the model decides for both, or has an argument of its own for.
_NOT_SHARED = {
    "vocabulary_size",
    "max_sequence_length",
    "num_layers",
    "attention_layers",
    "causal",
    "dtype",
    "name",
    "trainable",
    "kwargs",
}

SHARED = frozenset(set(inspect.signature(ReformerBackbone).parameters) - _NOT_SHARED)
"""Arguments of a backbone that a model may give to both sides, or to one in `encoder_options` or `decoder_options`."""

# In `encoder_options` these would make two models that do not fit each other.
_NOT_OF_ONE_SIDE = ("hidden_dim", "seed")


def checked(config: Mapping[str, Any]) -> dict[str, Any]:
    """Checks the arguments that a backbone would not check, or would name differently.

    Args:
        config: the arguments of `ReformerSeq2Seq`.

    Returns:
        The arguments as plain numbers, lists and dicts.

    Raises:
        ValueError: for a value that is out of range or of a wrong type, or options that are for neither side.
    """
    plain = {name: _plain(name, value) for name, value in config.items()}
    sizes = ("source_vocabulary_size", "target_vocabulary_size", "max_source_length", "max_target_length")
    for name in (*sizes, "num_encoder_layers", "num_decoder_layers"):
        arguments.positive_integer(name, plain[name])
    for name in ("share_embeddings", "tie_embeddings", "head_bias"):
        arguments.boolean(name, plain[name])
    arguments.rate("label_smoothing", plain["label_smoothing"])
    arguments.non_negative_integer("seed", plain["seed"])
    if plain["share_embeddings"] and plain["source_vocabulary_size"] != plain["target_vocabulary_size"]:
        raise ValueError(
            "source_vocabulary_size and target_vocabulary_size must be equal with share_embeddings=True. Received:"
            f" {plain['source_vocabulary_size']} and {plain['target_vocabulary_size']}"
        )
    for side in _SIDES:
        _check_side(side, plain)
    _check_attention_options(plain)
    return plain


def split(config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arguments of the encoder, and of the decoder.

    Args:
        config: from `checked`.
    """
    kinds = {side: _kinds(side, config) for side in _SIDES}
    passed = {name: value for name, value in config.items() if name in SHARED}
    found = []
    for index, side in enumerate(_SIDES):
        # What only the other side uses has an effect all the same.
        idle = attention_kinds.followed(kinds[_SIDES[1 - index]]) - attention_kinds.followed(kinds[side])
        own = {name: value for name, value in passed.items() if name not in idle}
        if own.get("attention_options") is not None:
            options = {kind: value for kind, value in own["attention_options"].items() if kind in kinds[side]}
            own["attention_options"] = options or None
        sequence = ("source", "target")[index]
        found.append(
            {
                **own,
                "vocabulary_size": config[f"{sequence}_vocabulary_size"],
                "max_sequence_length": config[f"max_{sequence}_length"],
                "num_layers": config[f"num_{side}_layers"],
                "attention_layers": config[f"{side}_attention_layers"],
                # No layer of the one has the seed of a layer of the other.
                "seed": 2 * config["seed"] + index,
                **(config[f"{side}_options"] or {}),
            }
        )
    return found[0], found[1]


def _plain(name: str, value: Any) -> Any:
    if name == "kernel_initializer" and value is not None:
        return keras.initializers.serialize(keras.initializers.get(value))
    if name in ("encoder_options", "decoder_options") and isinstance(value, Mapping):
        return {argument: _plain(argument, option) for argument, option in value.items()}
    return arguments.plain(value)


def _check_side(side: str, config: Mapping[str, Any]) -> None:
    name = f"{side}_options"
    options = {} if config[name] is None else config[name]
    if not isinstance(options, dict):
        raise ValueError(f"{name} must be a dict. Received: {name}={options!r}")
    unknown = sorted(set(options) - (SHARED - {*_NOT_OF_ONE_SIDE}))
    if unknown:
        raise ValueError(
            f"{name} must hold arguments of ReformerBackbone, which are {sorted(SHARED - {*_NOT_OF_ONE_SIDE})}."
            f" Received: {unknown}"
        )
    try:
        attention_kinds.pattern(config[f"{side}_attention_layers"], config[f"num_{side}_layers"])
    except ValueError as error:
        raise ValueError(f"{side}_{error}") from error


def _check_attention_options(config: Mapping[str, Any]) -> None:
    options = config.get("attention_options")
    if not isinstance(options, dict):
        return
    used = sorted({kind for side in _SIDES for kind in _kinds(side, config)})
    unused = sorted(set(options) - set(used))
    if unused:
        raise ValueError(f"attention_options must be for kinds in use, which are {used}. Received: {unused}")


def _kinds(side: str, config: Mapping[str, Any]) -> list[str]:
    return [kind for kind in config[f"{side}_attention_layers"] if kind in registry.ATTENTION_LAYERS]
