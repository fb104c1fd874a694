"""What has to be kept of a run: every variable by a name of its own, and how saved arrays get back into them."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np

_SHOWN = 8


def named_variables(
    model: keras.Model, optimizer: keras.optimizers.Optimizer | None = None
) -> dict[str, keras.Variable]:
    """Lists every variable of a model, its random generators included, and of an optimizer.

    Args:
        model: A built model.
        optimizer: A built optimizer.

    Returns:
        The variables by name: `model/` and the variable's path, `optimizer/`, its place and its path (Keras gives the
        slots of different variables the same path).

    Raises:
        ValueError: If two variables of the model have the same path.
    """
    found: dict[str, keras.Variable] = {}
    for variable in model.variables:
        name = f"model/{variable.path}"
        if found.setdefault(name, variable) is not variable:
            raise ValueError(f"`model` must not have two variables of one path. Received: {variable.path!r} twice")
    for place, variable in enumerate(optimizer.variables if optimizer else ()):
        found[f"optimizer/{place}/{variable.path}"] = variable
    return found


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
