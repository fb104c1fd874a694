"""Checks of single fields of a config, with messages that name the field, the rule and what was received."""

from collections.abc import Callable, Collection
from typing import Any

from ml_collections import ConfigDict


def check(config: ConfigDict, name: str, rule: str, holds: Callable[[Any], bool]) -> None:
    """Checks that a field keeps a rule.

    Args:
        config: The whole config.
        name: Full name of the field, such as `train.steps`.
        rule: The rule, as the end of a sentence that begins with the field.
        holds: Whether a value keeps it.

    Raises:
        ValueError: If it does not.

    Example:
        >>> from ml_collections import ConfigDict
        >>> check(ConfigDict({"train": {"steps": 2}}), "train.steps", "must be at least 1", lambda value: value >= 1)
    """
    value: Any = config
    for part in name.split("."):
        value = value[part]
    if not holds(value):
        raise ValueError(f"`config.{name}` {rule}. Received: {value!r}")


def check_choice(config: ConfigDict, name: str, choices: Collection[str]) -> None:
    """Checks that a field is one of some words.

    Raises:
        ValueError: If it is not.
    """
    check(config, name, f"must be one of {', '.join(choices)}", lambda value: value in choices)
