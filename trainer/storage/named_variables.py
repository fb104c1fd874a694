"""Names for all variables of a run, and the assignment of saved arrays to them."""

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

import keras
import numpy as np

from trainer.optimization.moving_average import MovingAverage

_Value = TypeVar("_Value")
_SHOWN = 8
MODEL = "model/"
_AVERAGE = "average/"
_NUMBER = re.compile(r"_\d+$")
_GENERATOR = re.compile(r"^seed_generator(_\d+)?$")


def named_variables(
    model: keras.Model, optimizer: keras.optimizers.Optimizer | None = None
) -> dict[str, keras.Variable]:
    """Lists every variable of a model, its random generators included, and of an optimizer.

    The names do not depend on other models built in this process: the numbers that Keras adds to default names are left
    out, and variables that would then have the same name are numbered in sequence. Where a model is made of several
    models, an encoder and a decoder for instance, the names of their variables begin with theirs.

    Args:
        model: A built model.
        optimizer: A built optimizer.

    Returns:
        The variables by name: `model/` and the path of a weight; `optimizer/` and the index of a slot; for an optimizer
        with a moving average, `average/` and the path of the averaged weight.
    """
    made_up = {layer.name: _class_name(layer) for layer in model._flatten_layers() if _has_made_up_name(layer)}
    owners = _owners(model)
    found: dict[str, keras.Variable] = {}
    for variable in model.variables:
        parts = [_GENERATOR.sub("seed_generator", made_up.get(part, part)) for part in variable.path.split("/")]
        path = MODEL + owners.get(id(variable), "") + "/".join(parts)
        repeats = (f"{path}:{number}" for number in itertools.count(2))
        found[path if path not in found else next(name for name in repeats if name not in found)] = variable
    for index, variable in enumerate(optimizer.variables if optimizer else ()):
        found[f"optimizer/{index}"] = variable
    average = getattr(optimizer, "average", None)
    if average is not None:
        names = {id(variable): name for name, variable in found.items()}
        for variable, weight in zip(average.variables, model.trainable_variables, strict=True):
            found[_AVERAGE + names[id(weight)].removeprefix(MODEL)] = variable
    return found


def model_entries(by_name: Mapping[str, _Value]) -> dict[str, _Value]:
    """Selects the entries of the model, from variables or values by the names of `named_variables`."""
    return {name: value for name, value in by_name.items() if name.startswith(MODEL)}


def averages(by_name: Mapping[str, _Value]) -> dict[str, _Value]:
    """Selects the entries of the moving average."""
    return {name: value for name, value in by_name.items() if name.startswith(_AVERAGE)}


def without_averages(by_name: Mapping[str, _Value]) -> dict[str, _Value]:
    """Selects all entries except those of the moving average."""
    return {name: value for name, value in by_name.items() if not name.startswith(_AVERAGE)}


def averaged(by_name: Mapping[str, _Value]) -> dict[str, _Value]:
    """Selects the entries of the model, with moving averages instead of the weights that have one."""
    found = {MODEL + name.removeprefix(_AVERAGE): value for name, value in averages(by_name).items()}
    return {**model_entries(by_name), **found}


def is_made_from_seed(name: str) -> bool:
    """Whether an entry is made from the model's seed.

    These are the rotations of a layer, its rows of random features, and the state of a random generator.
    """
    return name.endswith(("/rotations", "/feature_rows")) or "/seed_generator/" in name


def values(variables: Mapping[str, keras.Variable]) -> dict[str, np.ndarray]:
    """Copies the values of variables to the host."""
    return {name: np.array(variable.numpy()) for name, variable in variables.items()}


def assign(variables: Mapping[str, keras.Variable], arrays: Mapping[str, np.ndarray], source: str) -> None:
    """Assigns saved values to variables: to all of them, or to none if any does not fit.

    Args:
        variables: Variables by the names of `named_variables`.
        arrays: Saved values by the same names.
        source: Source of the values, for the message.

    Raises:
        ValueError: If a name is missing or superfluous, or a shape or dtype differs.
    """
    problems = mismatches(variables, arrays)
    if problems:
        more = f" and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise ValueError(
            f"`workdir` must hold a checkpoint of this model and optimizer, variable by variable. "
            f"Received: {source}: {'; '.join(problems[:_SHOWN])}{more}"
        )
    for name, variable in variables.items():
        variable.assign(arrays[name])


def restore(
    variables: Mapping[str, keras.Variable],
    arrays: Mapping[str, np.ndarray],
    average: MovingAverage | None,
    is_new: bool,
    source: str,
) -> None:
    """Assigns a checkpoint to the variables of a run, also if only one of the two has a moving average.

    Args:
        variables: Variables by the names of `named_variables`.
        arrays: Saved values by the same names.
        average: The moving average of the run, if it has one.
        is_new: Whether the checkpoint is of step 0.
        source: Source of the values, for the message.

    Raises:
        ValueError: As `assign` does.
    """
    if is_new:
        # Slots begin with zeros, and published weights have no optimizer.
        variables, arrays = model_entries(variables), model_entries(arrays)
    elif average is None or not averages(arrays):
        # `config.optimizer.ema_momentum` may change in a run.
        variables, arrays = without_averages(variables), without_averages(arrays)
    assign(variables, arrays, source)
    if average is not None and not averages(variables):
        average.reset()


def mismatches(variables: Mapping[str, keras.Variable], arrays: Mapping[str, np.ndarray]) -> Sequence[str]:
    """Describes where saved arrays do not fit variables; empty if they fit."""
    problems = [f"{name} is not in the checkpoint" for name in variables if name not in arrays]
    problems += [f"{name} is only in the checkpoint" for name in arrays if name not in variables]
    for name, variable in variables.items():
        if name not in arrays:
            continue
        here = (tuple(variable.shape), np.dtype(keras.backend.standardize_dtype(variable.dtype)))
        there = (arrays[name].shape, arrays[name].dtype)
        if here != there:
            problems.append(f"{name} is {here[1]}{list(here[0])} here and {there[1]}{list(there[0])} in the checkpoint")
    return problems


def _owners(model: keras.Model) -> dict[int, str]:
    """The prefix of each variable by its identity, where a model is made of several models."""
    inside = [
        layer for layer in model._flatten_layers(include_self=False, recursive=False) if isinstance(layer, keras.Model)
    ]
    if len(inside) < 2:
        return {}
    # The first model that has a shared variable owns it.
    return {id(variable): f"{part.name}/" for part in reversed(inside) for variable in part.variables}


def _class_name(layer: keras.Layer) -> str:
    return type(layer).__name__


def _has_made_up_name(layer: keras.Layer) -> bool:
    """Whether a layer has Keras' default name: the class in snake case, with or without a number."""
    return _NUMBER.sub("", layer.name).replace("_", "") == _class_name(layer).lower()
