"""Kinds of attention: the kind of each layer of a model, and the arguments of each kind."""

import inspect
from collections.abc import Iterable, Sequence
from typing import Any

from reformer_tf.layers import arguments
from reformer_tf.layers.attention import registry

# The model decides these for all of its layers: with a layer's own choice it would not be causal, or two layers would
# drop the same values.
_MODEL_ARGUMENTS = ("self", "kwargs", "causal", "seed")


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


def checked_options(attention_options: Any, kinds: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Returns `attention_options` as plain dicts and lists.

    Args:
        attention_options: arguments of layers by kind, or None for none.
        kinds: the kinds in use.

    Raises:
        ValueError: for kinds that are not in use, or arguments that layers of a kind do not take.
    """
    used = sorted(set(kinds))
    options: dict[str, dict[str, Any]] = {}
    for kind, requested in _items("attention_options", {} if attention_options is None else attention_options):
        if kind not in used:
            raise ValueError(
                f"attention_options must be for kinds that attention_layers names, which are {used}. Received: {kind!r}"
            )
        options[kind] = {
            name: arguments.plain(value) for name, value in _items(f"attention_options[{kind!r}]", requested)
        }
        taken = [
            name for name in inspect.signature(registry.get(kind).__init__).parameters if name not in _MODEL_ARGUMENTS
        ]
        unknown = sorted(set(options[kind]) - set(taken))
        if unknown:
            raise ValueError(
                f"attention_options[{kind!r}] must hold arguments of its layers other than causal and seed, which are"
                f" {taken}. Received: {unknown}"
            )
    return options


def _items(name: str, value: Any) -> Iterable[tuple[str, Any]]:
    """The items of a dict, or of something like one, such as a part of a config."""
    if not hasattr(value, "items"):
        raise ValueError(f"{name} must be a dict. Received: {name}={value!r}")
    return value.items()
