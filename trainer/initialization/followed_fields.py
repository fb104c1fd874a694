"""Arguments of a model that follow the run whose weights it begins with, where the config leaves them out.

They are filled in once, when the run begins, and stay in its `config.json`: what they are taken from may change or go.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from reformer_tf.models import attention_kinds, position_layers
from reformer_tf.ops import bucket_counts
from trainer import model_fields, tasks
from trainer.config import as_dict
from trainer.initialization.config_rules import TILE

NAMES = ("num_buckets", "axial_shape", "axial_dims")


def from_source(config: ConfigDict, source: ConfigDict) -> dict[str, Any]:
    """Computes the arguments that a new run takes from the run whose weights it begins with.

    Args:
        config: Config of the new run.
        source: Config of the other one.

    Returns:
        The arguments by name, without those that `config.model` has or that have no effect there; those of one of
        several backbones in a dictionary, `encoder_options` for instance.

    Raises:
        ValueError: If the new run has more positions than the other, and nothing says what becomes of them.
    """
    here, there = backbones(config), backbones(source)
    found: dict[str, Any] = {}
    for name in sorted({*here} & {*there}):
        followed = _followed(config, here[name], there[name])
        found.update({_options(name): followed} if name and followed else followed)
    return found


def _followed(config: ConfigDict, here: Mapping[str, Any], there: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    if _follows_length(here) and (buckets := _bucket_count(there)) is not None:
        found["num_buckets"] = buckets
    _check_positions(config, here, there)
    if here["positions"] == there["positions"] == "axial":
        found.update(_axial(here, there, config.init_positions == TILE))
    return found


def fill_in(config: ConfigDict, values: Mapping[str, Any]) -> None:
    """Sets arguments in `config.model`, except those that are there and not None."""
    with config.model.unlocked():
        for name, value in values.items():
            there = as_dict(config.model).get(name)
            if isinstance(value, Mapping):
                value = {**value, **{part: own for part, own in (there or {}).items() if own is not None}}
            elif there is not None:
                continue
            if name in config.model:
                del config.model[name]  # A field cannot change its type.
            config.model[name] = tuple(value) if isinstance(value, list) else value


def of_run(config: ConfigDict) -> dict[str, Any]:
    """Returns the arguments in the config of a run that has begun, as JSON types."""
    model = as_dict(config.model)
    found = _named(model)
    for name in filter(None, backbones(config)):
        options = _named(model.get(_options(name)) or {})
        found.update({_options(name): options} if options else {})
    return found


def backbones(config: ConfigDict) -> dict[str, dict[str, Any]]:
    """Returns all arguments of each backbone of a run's model, with defaults and what the model sets by itself."""
    arguments = model_fields.completed(config.task, as_dict(config.model))
    return tasks.TASKS[config.task].backbones(arguments)


def _named(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name in NAMES and value is not None}


def _options(backbone: str) -> str:
    """The argument of a model that holds those of one of its backbones alone."""
    return f"{backbone}_options"


def _hashing_layer(values: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns the arguments of the layers that have buckets; None if there are none."""
    options = values["attention_options"] or {}
    for kind in dict.fromkeys(values["attention_layers"]):
        layer = {**attention_kinds.layer_arguments(kind, values), **options.get(kind, {})}
        if "num_buckets" in layer:
            return layer
    return None


def _follows_length(values: Mapping[str, Any]) -> bool:
    """Whether the bucket count of a model is that of the default rule for its length."""
    layer = _hashing_layer(values)
    return layer is not None and layer["num_buckets"] is None and layer.get("window", "bucket") == "bucket"


def _bucket_count(values: Mapping[str, Any]) -> Any:
    """Returns the bucket count of a model; None if it has no buckets, or their number follows the length of a call."""
    layer = _hashing_layer(values)
    if layer is None or not _follows_length(values):
        return layer and layer["num_buckets"]
    factors = bucket_counts.default_num_buckets(layer.get("max_sequence_length"), layer["chunk_length"])
    return factors[0] if len(factors) == 1 else list(factors)


def _axes(values: Mapping[str, Any]) -> tuple[Sequence[int], Sequence[int]]:
    names = ("max_sequence_length", "hidden_dim", "axial_shape", "axial_dims")
    return position_layers.axes(*(values[name] for name in names))


def _positions(values: Mapping[str, Any]) -> int:
    """The number of positions that a model has vectors for."""
    return math.prod(_axes(values)[0]) if values["positions"] == "axial" else values["max_sequence_length"]


def _check_positions(config: ConfigDict, here: Mapping[str, Any], there: Mapping[str, Any]) -> None:
    wanted, kind = here["max_sequence_length"], here["positions"]
    if kind != there["positions"] or kind not in ("axial", "learned") or config.init_positions or config.init_partial:
        return
    if wanted > _positions(there):
        raise ValueError(
            f"`config.init_positions` must be 'tile', which repeats the positions of the run in `config.init_from`, "
            f"where the longest sequence of the model is above their number, {_positions(there)}. Received: "
            f"init_positions={config.init_positions!r}, a length of {wanted}, init_from={config.init_from!r}"
        )


def _axial(here: Mapping[str, Any], there: Mapping[str, Any], tile: bool) -> dict[str, Any]:
    """Keeps all axes but the first, so that positions that the other model has keep their vectors."""
    shape, dims = _axes(there)
    found: dict[str, Any] = {}
    if here["axial_shape"] is None:
        rest = math.prod(shape[1:])
        rows = -(-here["max_sequence_length"] // rest)
        if rows <= shape[0] or tile:
            found["axial_shape"] = [max(rows, shape[0]), *shape[1:]]
    axes = found.get("axial_shape", here["axial_shape"])
    if here["axial_dims"] is None and axes is not None and len(axes) == len(dims) and sum(dims) == here["hidden_dim"]:
        found["axial_dims"] = list(dims)
    return found
