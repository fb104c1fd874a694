"""Defines the flag `--config` and the flags of its fields, such as `--config.train.steps=20`.

The fields must be known before absl parses the flags, so the value of `--config` is looked up and its file read first.
"""

import re
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from trainer import model_fields, spelling

_FIELD = re.compile(r"--?(?:no)?config\.([^=]+)")
_MODEL = "model."


def peek_flags(names: Sequence[str], arguments: Sequence[str] = ()) -> list[str | None]:
    """Returns the values of flags before they are parsed; None for flags that are not set.

    Args:
        names: Names of string flags.
        arguments: The command line; by default that of this process.

    Raises:
        flags.Error: If a value is missing.
    """
    peeked = flags.FlagValues()
    peeked.set_gnu_getopt()  # Otherwise it stops at the value of the first unknown flag.
    for name in names:
        flags.DEFINE_string(name, None, "", flag_values=peeked)
    peeked(list(arguments or sys.argv), known_only=True)
    return [peeked[name].value for name in names]


def define(
    config: ConfigDict, help_text: str, arguments: Sequence[str] = (), flag_values: flags.FlagValues = flags.FLAGS
) -> flags.FlagHolder:
    """Defines `--config` and flags for its fields. Fields of the model need not be in the config.

    Args:
        config: The config, read already from the file that `--config` names.
        help_text: Help of `--config`.
        arguments: The command line; by default that of this process.
        flag_values: Where to define them.

    Raises:
        ValueError: If a flag names a field that is not there, or comes before `--config`.
    """
    arguments = flag_values.read_flags_from_files(list(arguments or sys.argv), force_gnu=False)
    _check_config_first(arguments)
    fields = _fields(arguments)
    model_names = [path.removeprefix(_MODEL) for path in fields.values() if path.startswith(_MODEL)]
    if isinstance(config.get("model"), ConfigDict):
        model_fields.let_flags_set(config.model, model_names)
    _check_known(config, fields)
    holder = config_flags.DEFINE_config_dict("config", config, help_text, flag_values, sys_argv=arguments)
    flag_values["config"].parser = _Read(config)
    return holder


class _Read(flags.ArgumentParser):
    """Parser of `--config` that returns the config that was read already, whatever the value."""

    def __init__(self, config: ConfigDict):
        self._config = config

    def parse(self, argument: Any) -> ConfigDict:
        return self._config

    def flag_type(self) -> str:
        return "config file"


def _fields(arguments: Sequence[str]) -> dict[str, str]:
    """Finds the fields that flags set, by the flag as it was written."""
    found: dict[str, str] = {}
    for argument in arguments[1:]:
        if argument == "--":
            break
        match = _FIELD.match(argument)
        if match:
            found[match[0]] = match[1]
    return found


def _check_config_first(arguments: Sequence[str]) -> None:
    files = [index for index, argument in enumerate(arguments) if re.match(r"--?config(=|$)", argument)]
    early = [argument for argument in arguments[1 : files[0]] if _FIELD.match(argument)] if files else []
    if early:
        raise ValueError(
            f"`--config` must come before the flags of its fields. Received: {early[0]} before {arguments[files[0]]}"
        )


def _check_known(config: ConfigDict, fields: dict[str, str]) -> None:
    known = [*_leaves(config), *(f"model.{name}" for name in model_fields.all_parameters())]
    unknown = {flag: path for flag, path in fields.items() if not _is_there(config, path)}
    if unknown:
        found = [spelling.nearest(path, known) for path in unknown.values()]
        meant = " ".join(dict.fromkeys(f"--config.{name}" for name in found if name))
        hint = f"; did you mean {meant}?" if meant else ""
        raise ValueError(f"Flags must name fields of the config. Received: {', '.join(unknown)}{hint}")


def _is_there(config: Any, path: str) -> bool:
    for name in path.split("."):
        if not isinstance(config, ConfigDict) or name not in config:
            return False
        config = config[name]
    return True


def _leaves(config: ConfigDict, prefix: str = "") -> list[str]:
    found: list[str] = []
    for name, value in config.items():
        found += _leaves(value, f"{prefix}{name}.") if isinstance(value, ConfigDict) else [f"{prefix}{name}"]
    return found
