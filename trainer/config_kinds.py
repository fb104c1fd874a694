"""Checks that hold for every field of a config: it is known, present, of the right type, and finite."""

import math
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict, FieldReference

from trainer import spelling

_KINDS: dict[type, tuple[str, tuple[type, ...]]] = {
    bool: ("True or False", (bool,)),
    int: ("an integer", (int,)),
    float: ("a number", (int, float)),
    str: ("a string", (str,)),
    tuple: ("a list", (tuple, list)),
}
# Fields of groups that may be True, False or this word.
OR_WORD = {"train.jit_compile": "auto"}
_ANY_TYPE = {name.rpartition(".")[2] for name in OR_WORD}
_GROUPS = (ConfigDict, dict)


class Group(ConfigDict):
    """A group of fields, of which those in `OR_WORD` may change their type, in copies too.

    As for a field that is True or False only, 0 and 1 stand for these in flags.
    """

    def __setitem__(self, key: str, value: Any) -> None:
        if key in _ANY_TYPE:
            value = bool(value) if isinstance(value, int) and value in (0, 1) else value
            if key not in self and not isinstance(value, FieldReference):
                value = FieldReference(value, field_type=object)
        super().__setitem__(key, value)


def check(config: Mapping[str, Any], known: Mapping[str, Any], name: str = "config") -> None:
    """Checks the fields of a config, and of the groups in it.

    Args:
        config: A config, or a part of one.
        known: The same config with all defaults. A group that is empty here may have any fields.
        name: Name of the config in messages.

    Raises:
        ValueError: If a field is not known, missing, of another kind than its default, or not finite.
    """
    for field in config:
        if field not in known:
            # Before missing fields, because a misspelt field is missing as well.
            raise ValueError(
                f"`{name}` must have fields that there are. Received: `{field}`{spelling.suggestion(str(field), known)}"
            )
    for field, default in known.items():
        if field not in config:
            raise ValueError(f"`{name}` must have the field `{field}`. Received: {', '.join(sorted(config))}")
        _check_field(f"{name}.{field}", config[field], default)


def _check_field(name: str, value: Any, default: Any) -> None:
    if isinstance(default, _GROUPS):
        if not isinstance(value, _GROUPS):
            raise ValueError(f"`{name}` must be a group of fields. Received: {value!r}")
        if len(default):
            check(value, default, name)
        else:
            check_finite(name, value)
        return
    word = OR_WORD.get(name.removeprefix("config."))
    if word is not None:
        if not (isinstance(value, bool) or value == word):
            raise ValueError(f"`{name}` must be True, False or {word!r}. Received: {value!r}")
        return
    kind, types = _KINDS[type(default)]
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise ValueError(f"`{name}` must be {kind}. Received: {value!r}")
    check_finite(name, value)


def check_finite(name: str, value: Any) -> None:
    """Refuses infinity and NaN, in lists and groups too.

    Raises:
        ValueError: If there is any.
    """
    if isinstance(value, _GROUPS):
        for key, part in value.items():
            check_finite(f"{name}.{key}", part)
    elif isinstance(value, tuple | list):
        for part in value:
            check_finite(name, part)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"`{name}` must be a finite number. Received: {value!r}")


def completed(fields: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Adds the defaults of missing fields to the fields of a group.

    An integer becomes a float where the default is one, so that flags can set fractions.
    """
    found = {**known, **fields}
    for field, default in known.items():
        value = found[field]
        if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
            found[field] = _as_float(value)
    return found


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
