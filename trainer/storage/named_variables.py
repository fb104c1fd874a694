"""What has to be kept of a run: every variable by a name of its own, and how saved arrays get back into them."""

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

import keras
import numpy as np

from trainer.optimization.moving_average import MovingAverage

_Value = TypeVar("_Value")
_SHOWN = 8
_MODEL = "model/"
_AVERAGE = "average/"
_NUMBER = re.compile(r"_\d+$")
_GENERATOR = re.compile(r"^seed_generator(_\d+)?$")


def named_variables(
    model: keras.Model, optimizer: keras.optimizers.Optimizer | None = None
) -> dict[str, keras.Variable]:
    """Lists every variable of a model, its random generators included, and of an optimizer.

    The names do not depend on what else was built in this process: numbers that Keras adds to names it makes up are
    left out, and variables that would then have the same name are numbered in their order.

    Args:
        model: A built model.
        optimizer: A built optimizer.

    Returns:
        The variables by name: `model/` and the path of the variable, `optimizer/` and its place among the slots, or, of
        an optimizer with a moving average, `average/` and the path of the variable that it is the average of.
    """
    made_up = {layer.name: _class_name(layer) for layer in model._flatten_layers() if _has_made_up_name(layer)}
    found: dict[str, keras.Variable] = {}
    for variable in model.variables:
        parts = [_GENERATOR.sub("seed_generator", made_up.get(part, part)) for part in variable.path.split("/")]
        path = _MODEL + "/".join(parts)
        repeats = (f"{path}:{number}" for number in itertools.count(2))
        found[path if path not in found else next(name for name in repeats if name not in found)] = variable
    for index, variable in enumerate(optimizer.variables if optimizer else ()):
        found[f"optimizer/{index}"] = variable
    average = getattr(optimizer, "average", None)
    if average is not None:
        names = {id(variable): name for name, variable in found.items()}
        for variable, weight in zip(average.variables, model.trainable_variables, strict=True):
            found[_AVERAGE + names[id(weight)].removeprefix(_MODEL)] = variable
    return found


def model_entries(by_name: Mapping[str, _Value]) -> dict[str, _Value]:
    """What is the model's of variables or values by the names of `named_variables`."""
    return {name: value for name, value in by_name.items() if name.startswith(_MODEL)}


def averages(by_name: Mapping[str, _Value]) -> dict[str, _Value]:
    """What is the moving average's."""
    return {name: value for name, value in by_name.items() if name.startswith(_AVERAGE)}


def without_averages(by_name: Mapping[str, _Value]) -> dict[str, _Value]:
    """All but what is the moving average's."""
    return {name: value for name, value in by_name.items() if not name.startswith(_AVERAGE)}


def averaged(by_name: Mapping[str, _Value]) -> dict[str, _Value]:
    """What is the model's, with their moving averages in place of the weights that have one."""
    found = {_MODEL + name.removeprefix(_AVERAGE): value for name, value in averages(by_name).items()}
    return {**model_entries(by_name), **found}


def values(variables: Mapping[str, keras.Variable]) -> dict[str, np.ndarray]:
    """Copies the values of variables to the host."""
    return {name: np.array(variable.numpy()) for name, variable in variables.items()}


def assign(variables: Mapping[str, keras.Variable], arrays: Mapping[str, np.ndarray], source: str) -> None:
    """Gives variables their saved values: all of them, or none when anything does not fit.

    Args:
        variables: As `named_variables` lists them.
        arrays: Saved values by the same names.
        source: Where the values come from, for the message.

    Raises:
        ValueError: If a name is missing or left over, or a shape or dtype differs.
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
    """Gives the variables of a run the values of a checkpoint, also where one of them alone has a moving average.

    Args:
        variables: As `named_variables` lists them.
        arrays: Saved values by the same names.
        average: The moving average of the run, if it has one.
        is_new: Whether no step was made yet.
        source: Where the values come from, for the message.

    Raises:
        ValueError: As `assign` does.
    """
    if is_new:
        # An optimizer begins with zeros, and weights that come from elsewhere come without one.
        variables, arrays = model_entries(variables), model_entries(arrays)
    elif average is None or not averages(arrays):
        # `config.optimizer.ema_momentum` may change in a run.
        variables, arrays = without_averages(variables), without_averages(arrays)
    assign(variables, arrays, source)
    if average is not None and not averages(variables):
        average.reset()


def mismatches(variables: Mapping[str, keras.Variable], arrays: Mapping[str, np.ndarray]) -> Sequence[str]:
    """Says in words where saved arrays do not fit variables; empty if they fit."""
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


def _class_name(layer: keras.Layer) -> str:
    return type(layer).__name__


def _has_made_up_name(layer: keras.Layer) -> bool:
    """Whether the name is that of the class in snake case, with or without a number."""
    return _NUMBER.sub("", layer.name).replace("_", "") == _class_name(layer).lower()
