"""Kinds of attention: the kind of each layer of a model, what the kinds can do, and the arguments of each kind."""

import functools
import inspect
import logging
import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reformer_tf.layers import arguments
from reformer_tf.layers.attention import registry

_LOGGER = logging.getLogger(__name__)

# The model decides these for all of its layers: with a layer's own choice it would not be causal, or two layers would
# drop the same values.
_NOT_OPTIONS = ("self", "kwargs", "causal", "seed")

# Arguments of a backbone that nothing but attention layers uses, and none of them where no kind follows it.
ATTENTION_ONLY = (
    "chunk_length",
    "local_chunk_length",
    "num_hashes",
    "num_buckets",
    "local_round",
    "redraw_rotations",
    "rotary",
)


def pattern(attention_layers: Sequence[str], num_layers: int) -> list[str]:
    """Returns the kind of each layer.

    Raises:
        ValueError: if `attention_layers` is no list of kinds, or its length does not divide `num_layers`.
    """
    if isinstance(attention_layers, str):
        raise ValueError(f"attention_layers must be a list of kinds. Received: {attention_layers!r}")
    kinds = list(attention_layers)
    for kind in kinds:
        registry.get(kind)
    if not kinds or num_layers % len(kinds):
        raise ValueError(
            "attention_layers must name the kind of each layer, or a pattern whose length divides num_layers."
            f" Received: attention_layers={kinds}, num_layers={num_layers}"
        )
    return kinds * (num_layers // len(kinds))


def check_abilities(kinds: Iterable[str], values: Mapping[str, Any]) -> None:
    """Refuses arguments of a model that ask for what its kinds of attention cannot do.

    Args:
        kinds: the kinds in use.
        values: arguments of a backbone, `causal`, `attention_dropout` and `rotary` among them.

    Raises:
        ValueError: if a kind cannot do it; the error names kinds that can, and how they alone are asked for it.
    """
    used = list(dict.fromkeys(kinds))
    if values["causal"]:
        rule = "attention_layers of a causal model must be kinds that can keep tokens from seeing later ones"
        registry.require(used, lambda kind: kind.causal, rule, "causal=True")
    else:
        rule = "attention_layers of a model that is not causal must be kinds that can let tokens see later ones"
        registry.require(used, lambda kind: kind.bidirectional, rule, "causal=False")
    _check_option(used, values, "attention_dropout", "dropout", "pair_dropout", "drop pairs of tokens")
    _check_option(used, values, "rotary", "rotary", "rotary", "rotate queries and keys")


def _check_option(
    used: list[str], values: Mapping[str, Any], name: str, option: str, capability: str, ability: str
) -> None:
    """Refuses an argument of a model that becomes an option of its layers, if it is set and some kind cannot do it."""
    if not values[name]:
        return
    can = operator.attrgetter(capability)
    rule = f"{name} must be left out unless all attention_layers are kinds that can {ability}"
    asked = [kind for kind in used if can(registry.get(kind).capabilities) and option in layer_arguments(kind, values)]
    if asked:
        way_out = {kind: {option: values[name]} for kind in asked}
        rule += f" (attention_options={way_out} asks only these)"
    registry.require(used, can, rule, f"{name}={values[name]!r}")


def check_segments(kinds: Iterable[str]) -> None:
    """Refuses `segment_ids` for kinds that do not take them.

    Raises:
        ValueError: if there is such a kind.
    """
    rule = "segment_ids must be left out unless all attention_layers are kinds that can keep segments apart"
    registry.require(kinds, lambda kind: kind.segments, rule, "segment_ids")


def layer_arguments(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the arguments of a layer that follow from those of its model, as the kind declares.

    Args:
        kind: of the layer.
        values: arguments of a backbone, and what their defaults stand for.

    Raises:
        ValueError: if the kind declares an argument that a backbone does not have.
    """
    capabilities = registry.get(kind).capabilities
    unknown = sorted(set(capabilities.model_arguments.values()) - set(values))
    if unknown:
        raise ValueError(
            f"model_arguments in the capabilities of kind {kind!r} must name arguments of a backbone, which are"
            f" {sorted(values)}. Received: {unknown}"
        )
    followed = {"num_heads": "num_heads", "key_dim": "key_dim", **capabilities.model_arguments}
    if capabilities.causal:
        followed["causal"] = "causal"
    if capabilities.pair_dropout:
        followed["dropout"] = "attention_dropout"
    return {argument: values[name] for argument, name in followed.items()}


def cross_arguments(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the arguments of a layer with cross-attention that follow from those of its model.

    Args:
        kind: of the layer.
        values: arguments of a backbone, and what their defaults stand for.
    """
    taken = inspect.signature(registry.get_cross(kind)).parameters
    return {argument: value for argument, value in layer_arguments(kind, values).items() if argument in taken}


def checked_cross(kind: Any, cross_attention_options: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `cross_attention_options` as plain dicts and lists.

    Args:
        kind: of cross-attention.
        cross_attention_options: arguments of its layers, or None for none.
        values: arguments of a backbone, `attention_dropout` among them.

    Raises:
        ValueError: for an unknown kind, arguments that its layers do not take, or what the kind cannot do.
    """
    cls, name = registry.get_cross(kind), "cross_attention_options"
    requested = {} if cross_attention_options is None else cross_attention_options
    options = {argument: arguments.plain(value) for argument, value in _items(name, requested)}
    cls.capabilities.check(name, options)
    _check_taken(name, options, cls)
    if values["attention_dropout"] and not cls.capabilities.pair_dropout:
        able = sorted(kind for kind in registry.CROSS_ATTENTION_LAYERS if registry.get(kind).capabilities.pair_dropout)
        raise ValueError(
            "attention_dropout must be left out unless cross_attention is a kind that can drop pairs of tokens"
            f" (attention_options ask the self-attention alone): {able} can, {kind!r} cannot."
            f" Received: attention_dropout={values['attention_dropout']!r}, cross_attention={kind!r}"
        )
    return options


def _check_taken(name: str, options: Mapping[str, Any], cls: type) -> None:
    """Refuses options that the layers of a class do not take."""
    taken = [argument for argument in inspect.signature(cls).parameters if argument not in _NOT_OPTIONS]
    unknown = sorted(set(options) - set(taken))
    if unknown:
        raise ValueError(
            f"{name} must hold arguments of its layers other than causal and seed, which are {taken}."
            f" Received: {unknown}"
        )


def report_without_effect(kinds: Iterable[str], values: Mapping[str, Any], signature: inspect.Signature) -> None:
    """Logs the arguments of a backbone that are not left at their default though no layer follows them.

    They are no error: with the same arguments, models of several patterns of kinds can be compared. Each is logged once
    in a process, because every copy of a model has the same arguments.

    Args:
        kinds: the kinds in use.
        values: arguments of a backbone.
        signature: of the backbone, for the defaults.
    """
    used = list(dict.fromkeys(kinds))
    names = followed(used)
    if "local_chunk_length" in names and values["local_chunk_length"] is None:
        names.add("chunk_length")
    for name in ATTENTION_ONLY:
        if name not in names and values[name] != signature.parameters[name].default:
            _warn_once(f"{name}={values[name]!r} has no effect in a model of attention_layers={used}")


def followed(kinds: Iterable[str]) -> set[str]:
    """The arguments of a backbone that layers of some kinds follow."""
    return {name for kind in kinds for name in registry.get(kind).capabilities.model_arguments.values()}


@functools.cache
def _warn_once(message: str) -> None:
    _LOGGER.warning("%s", message)


def checked_options(attention_options: Any, kinds: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Returns `attention_options` as plain dicts and lists.

    Args:
        attention_options: arguments of layers by kind, or None for none.
        kinds: the kinds in use.

    Raises:
        ValueError: for kinds that are not in use, arguments that layers of a kind do not take, or arguments that ask
            for what the kind cannot do.
    """
    used = sorted(set(kinds))
    options: dict[str, dict[str, Any]] = {}
    for kind, requested in _items("attention_options", {} if attention_options is None else attention_options):
        if kind not in used:
            raise ValueError(
                f"attention_options must be for kinds that attention_layers names, which are {used}. Received: {kind!r}"
            )
        name, cls = f"attention_options[{kind!r}]", registry.get(kind)
        options[kind] = {argument: arguments.plain(value) for argument, value in _items(name, requested)}
        cls.capabilities.check(name, options[kind])
        _check_taken(name, options[kind], cls)
    return options


def _items(name: str, value: Any) -> Iterable[tuple[str, Any]]:
    """The items of a dict, or of something like one, such as a part of a config."""
    if not hasattr(value, "items"):
        raise ValueError(f"{name} must be a dict. Received: {name}={value!r}")
    return value.items()
