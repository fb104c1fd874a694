"""The file `report.json` with the final report of a run, which a later start prints again."""

import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from trainer import json_text

_NUMBER = (int, float, type(None))
_KINDS: dict[str, dict[str, tuple[type, ...]]] = {
    "report": {"sample": (str,)},
    "export": {"export": (str,), "export_difference": _NUMBER},
}
"""Types of the fields of each part of a report, by the name of the part in `made`."""


def read(path: str | os.PathLike[str], numbers: Iterable[str] = ()) -> dict[str, Any] | None:
    """Reads the report of an earlier start.

    Args:
        path: The file.
        numbers: Names of the numbers that the part `report` has, depending on the task of the run.

    Returns:
        The report, which has `step` and `made`; None if there is none.

    Raises:
        ValueError: If the file is damaged.
    """
    try:
        report = json_text.parse_object(pathlib.Path(path).read_bytes())
        problem = _problem(report, numbers)
    except FileNotFoundError:
        return None
    except ValueError as error:
        problem = str(error)
    if problem:
        raise ValueError(
            f"The final report of a run must be as it was written. Received: {path}: {problem}. Without the file, "
            "the same command makes the report again."
        )
    return report


def _problem(report: Mapping[str, Any], numbers: Iterable[str]) -> str | None:
    """Describes the first fault of a report; None if there is none."""
    made = report.get("made")
    if not isinstance(report.get("step"), int) or not isinstance(made, list):
        return "it has no `step` and `made`"
    for part in made:
        fields = _KINDS.get(str(part), {}) | (dict.fromkeys(numbers, _NUMBER) if part == "report" else {})
        for name, kinds in fields.items():
            if name not in report or not isinstance(report[name], kinds):
                return f"its `{name}` is {report.get(name)!r}"
    return None
