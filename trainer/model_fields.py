"""The fields of `config.model`: arguments of the task's model. A config may leave out those that have a default."""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from ml_collections import ConfigDict, config_dict

from trainer import tasks

_OPTIONS = "attention_options"  # The only argument whose parts flags can set.


def parameters(task: str) -> dict[str, inspect.Parameter]:
    """Returns the arguments of a task's model by name, including those that it passes on.

    Args:
        task: `config.task`.
    """
    kind = tasks.TASKS[task]
    found: dict[str, inspect.Parameter] = {}
    for owner in (kind.model_class, *kind.passed_on):
        for parameter in inspect.signature(owner).parameters.values():
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
                found.setdefault(parameter.name, parameter)
    return {name: parameter for name, parameter in found.items() if name not in kind.set_inside}


def all_parameters() -> dict[str, inspect.Parameter]:
    """Returns the arguments of the models of all tasks: what flags may set, as a flag may set the task, too."""
    return {name: parameter for task in reversed(tasks.TASKS) for name, parameter in parameters(task).items()}


def completed(task: str, model: Mapping[str, Any]) -> dict[str, Any]:
    """Adds the defaults of missing arguments to a config, so that equal models have equal configs.

    Args:
        task: `config.task`.
        model: `config.model`.
    """
    defaults = {name: p.default for name, p in parameters(task).items() if p.default is not inspect.Parameter.empty}
    return {**defaults, **model}


def let_flags_set(model: ConfigDict, fields: Iterable[str]) -> None:
    """Adds the fields that flags name to a config, so that the flags are known.

    An added field has its default and the type of that. A field of several types (`num_buckets` is a number, a list or
    None) takes any Python literal, also if the config has it already.

    Args:
        model: `config.model`; may be locked.
        fields: Names of the fields; attention options have names such as `attention_options.lsh.use_bias`.
    """
    known = all_parameters()
    with model.unlocked():
        for field in fields:
            name, *parts = field.split(".")
            if name == _OPTIONS and parts:
                _open_part(model, [name, *parts])
            elif name in known and not parts:
                _open(model, known[name])


def _open(model: ConfigDict, parameter: inspect.Parameter) -> None:
    name, required = parameter.name, parameter.default is inspect.Parameter.empty
    there = name in model
    value = model[name] if there else None if required else parameter.default
    if isinstance(value, ConfigDict) and name == _OPTIONS:
        return  # Flags may set it or its parts.
    if parameter.default is None or parameter.annotation is Any:
        field: Any = config_dict.FieldReference(value, field_type=object)
    elif isinstance(parameter.default, float) and type(value) is int:
        field = float(value)
    elif there and value is not None:
        return
    elif required:
        field = config_dict.placeholder(int if parameter.annotation is int else tuple)
    else:
        field = parameter.default
    if there:
        del model[name]  # A field cannot change its type.
    model[name] = field


def _open_part(model: ConfigDict, path: list[str]) -> None:
    """Makes the missing groups on the path to a part, and the part."""
    for name in path[:-1]:
        group = model.get(name)
        if group is None or isinstance(group, dict):
            if name in model:
                del model[name]
            model[name] = ConfigDict(group or {})
        elif not isinstance(group, ConfigDict):
            return
        model = model[name]
    with model.unlocked():
        value = model.get(path[-1])
        if path[-1] in model:
            del model[path[-1]]
        model[path[-1]] = config_dict.FieldReference(value, field_type=object)
