"""The file of the results, and the table of the results."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Iterable
from typing import Any

from tools.breakages.breakage import Breakage

NOT_CAUGHT = "NOT CAUGHT"


class Results:
    """The results of breakages, in a JSON file that is written after each.

    Args:
        path: The file. Read if it exists.

    Raises:
        ValueError: If it exists and is no file of results.
    """

    def __init__(self, path: pathlib.Path):
        self._path = path
        self._found: dict[str, dict[str, Any]] = {}
        if path.exists():
            try:
                self._found = {found["name"]: found for found in json.loads(path.read_text(encoding="utf-8"))}
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"--output must be new or of an earlier run. Received: {path} ({error!r})") from error

    def find(self, breakage: Breakage) -> dict[str, Any] | None:
        """The result of a breakage, if it was tried in its present form."""
        found = self._found.get(breakage.name)
        same = found is not None and all(found.get(key) == value for key, value in _code(breakage).items())
        return found if same else None

    def add(self, breakage: Breakage, caught_by: str | None, all_tests: bool, seconds: float) -> None:
        """Records a result and writes the file.

        Args:
            breakage: The breakage that was tried.
            caught_by: The test that failed; None if none did.
            all_tests: Whether all tests were run, or only those of the part.
            seconds: The time that it took.
        """
        result = {"caught_by": caught_by, "all_tests": all_tests, "seconds": round(seconds, 1)}
        self._found[breakage.name] = {"name": breakage.name, **_code(breakage), **result}
        partial = self._path.with_name(f"{self._path.name}.partial")
        partial.write_text(json.dumps(list(self._found.values()), indent=1) + "\n", encoding="utf-8")
        os.replace(partial, self._path)

    def missed(self, breakages: Iterable[Breakage]) -> list[Breakage]:
        """The breakages that were tried and not caught."""
        found = [(breakage, self.find(breakage)) for breakage in breakages]
        return [breakage for breakage, result in found if result is not None and result["caught_by"] is None]

    def table(self, breakages: Iterable[Breakage]) -> str:
        """A line for each breakage that was tried: its part and name, the seconds, the test that caught it."""
        lines = []
        for breakage in breakages:
            found = self.find(breakage)
            if found is not None:
                where = "" if found["all_tests"] else " (tests of the part)"
                caught = found["caught_by"] or f"{NOT_CAUGHT}{where}: {breakage.breaks}"
                lines.append(f"{breakage.part:11}{breakage.name:40}{found['seconds']:8.1f} s  {caught}")
        return "\n".join(lines)


def _code(breakage: Breakage) -> dict[str, str]:
    fields = dataclasses.asdict(breakage)
    return {name: fields[name] for name in ("part", "function", "old", "new")}
