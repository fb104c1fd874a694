"""Reads JSON that may be damaged: any fault is a `ValueError`."""

import json
from typing import Any


def parse(text: str | bytes) -> Any:
    """Reads JSON.

    Args:
        text: The JSON; bytes in UTF-8, UTF-16 or UTF-32.

    Raises:
        ValueError: If the text is not JSON, not Unicode, or nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def parse_object(text: str | bytes) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        ValueError: As `parse` does, and if the value is no object.
    """
    value = parse(text)
    if not isinstance(value, dict):
        raise ValueError(f"it is no object but a {type(value).__name__}")
    return value
