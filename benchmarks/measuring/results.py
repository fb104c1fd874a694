"""The results of a benchmark: a file of JSON lines, written point by point and continued by a later run."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from trainer import atomic

_MUST_AGREE = "so that ratios are within one run; choose another --output"


class Results:
    """What was measured of each point.

    The first line of the file has the arguments of all points and the machine, each further line one point. A line that
    was not completed, because the process was killed, is dropped.

    Args:
        path: the file, continued if it exists; None to keep the results in memory.
        arguments: those that must be the same for all points of a file.
        machine: its description, which must be the same too.

    Attributes:
        points: what was measured, one dict a point.

    Raises:
        ValueError: if the file has no results, or results of other arguments or of another machine.
    """

    def __init__(self, path: pathlib.Path | None, arguments: Mapping[str, Any], machine: Mapping[str, Any]):
        self.path = path
        self.points: list[dict[str, Any]] = []
        if path is None:
            return
        if path.exists():
            self._continue(path, {**arguments, **machine})
        else:
            atomic.write_text(path, _line({"arguments": dict(arguments), "machine": dict(machine)}))

    def _continue(self, path: pathlib.Path, required: Mapping[str, Any]) -> None:
        try:
            content = path.read_text(encoding="utf-8")
            complete = content[: content.rfind("\n") + 1]
            header, *points = map(json.loads, complete.splitlines())
            found = {**header["arguments"], **header["machine"]}
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"--output must be new or of an earlier run. Received: {path} ({error!r})") from error
        for name, value in required.items():
            if found.get(name) != value:
                raise ValueError(
                    f"{name} must be as in {path}, {_MUST_AGREE}. Received: {name}={value!r}, there {found.get(name)!r}"
                )
        if complete != content:
            atomic.write_text(path, complete)
        self.points = points

    def find(self, identity: Mapping[str, Any]) -> dict[str, Any] | None:
        """What was measured last of a point, or None."""
        same = (p for p in reversed(self.points) if all(p.get(name) == value for name, value in identity.items()))
        return next(same, None)

    def add(self, identity: Mapping[str, Any], measured: Mapping[str, Any]) -> dict[str, Any]:
        """Adds what was measured of a point, in place of what was measured earlier, and appends it to the file."""
        point = {**measured, **identity}
        earlier = self.find(identity)
        if earlier is not None:
            self.points.remove(earlier)
        self.points.append(point)
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(_line(point))
        return point


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value) + "\n"
