"""Configs that record which layers are one and the same object, at any depth."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
from keras.src.backend.common import global_state
from keras.src.saving.serialization_lib import ObjectSharingScope

_KEY = "shared_object_id"


def serialize(layers: Sequence[keras.layers.Layer]) -> list[dict[str, Any]]:
    """Makes the configs of layers, in which a layer that occurs several times has a number.

    While a whole model is saved, the numbers are those of Keras, so that a layer shared with the rest of the model is
    found as well. `deserialize` is the inverse.
    """
    saving = global_state.get_global_attribute("shared_objects/id_to_config_map") is not None
    with _scope(saving):
        # Keras numbers a config when it sees its object again. By then, the first config may have been copied, so all
        # are seen twice.
        for _ in range(2):
            configs = [keras.saving.serialize_keras_object(layer) for layer in layers]
    ids = {id(x) for layer in layers for x in layer._flatten_layers()}
    if saving:
        return _numbered(configs, {number: number for number in ids})
    seen = [number for number in _numbers(configs) if number in ids]
    repeated = dict.fromkeys(number for number in seen if seen.count(number) > 1)
    return _numbered(configs, {number: index for index, number in enumerate(repeated)})


def deserialize(configs: Sequence[dict[str, Any]]) -> list[keras.layers.Layer]:
    """Makes layers from the configs of `serialize`."""
    with _scope(is_loading()):
        return [keras.saving.deserialize_keras_object(config) for config in configs]


def is_loading() -> bool:
    """Whether a whole model is being loaded, so that layers shared with its other parts are found."""
    return global_state.get_global_attribute("shared_objects/id_to_obj_map") is not None


def _scope(is_open: bool) -> contextlib.AbstractContextManager[Any]:
    return contextlib.nullcontext() if is_open else ObjectSharingScope()


def _numbers(config: Any) -> Iterator[int]:
    if isinstance(config, dict):
        if _KEY in config:
            yield config[_KEY]
        config = list(config.values())
    if isinstance(config, list | tuple):
        for value in config:
            yield from _numbers(value)


def _numbered(config: Any, numbers: dict[int, int]) -> Any:
    """Replaces the numbers in a config, and removes those that are not in `numbers`."""
    if isinstance(config, list | tuple):
        return [_numbered(value, numbers) for value in config]
    if not isinstance(config, dict):
        return config
    result = {name: _numbered(value, numbers) for name, value in config.items() if name != _KEY}
    if config.get(_KEY) in numbers:
        result[_KEY] = numbers[config[_KEY]]
    return result
