"""The results of a benchmark: a file of JSON lines, written point by point and continued by a later run."""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from trainer import atomic
from trainer.config import differences

_MUST_AGREE = "so that ratios are within one run; choose another --output"
_Fields = Mapping[str, Any]


class Results:
    """What was measured of each point.

    The first line of the file has the arguments of all points and the machine, each further line one point. A line that
    was not completed, because the process was killed, is dropped.

    Args:
        path: the file, continued if it exists; None to keep the results in memory.
        arguments: those that must be the same for all points of a file.
        machine: its description, which must be the same too.
        identity: names of the fields that tell a point from the others, as far as a point has them.

    Attributes:
        points: what was measured last of each point, one dict a point.

    Raises:
        ValueError: if the file has no results, or results of other arguments or of another machine.
    """

    def __init__(self, path: str | pathlib.Path | None, arguments: _Fields, machine: _Fields, identity: Sequence[str]):
        self.path, self._identity = None if path is None else pathlib.Path(path), identity
        self.points: list[dict[str, Any]] = []
        if self.path is None:
            return
        if self.path.exists():
            self._continue(self.path, {**arguments, **machine})
        else:
            atomic.write_text(self.path, _line({"arguments": dict(arguments), "machine": dict(machine)}))

    def _continue(self, path: pathlib.Path, required: _Fields) -> None:
        try:
            content = path.read_text(encoding="utf-8")
            complete = content[: content.rfind("\n") + 1]
            header, *points = map(json.loads, complete.splitlines())
            found = {**header["arguments"], **header["machine"]}
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"--output must be new or of an earlier run. Received: {path} ({error!r})") from error
        # By field, so that of a config only those that differ are named.
        there = {name: found.get(name) for name in required}
        if differing := differences(there, dict(required), prefix=""):
            received = "; ".join(f"{name}={now!r}, there {before!r}" for name, (before, now) in differing.items())
            raise ValueError(f"{', '.join(differing)} must be as in {path}, {_MUST_AGREE}. Received: {received}")
        if complete != content:
            atomic.write_text(path, complete)
        for point in points:
            self._put(point)

    def find(self, identity: _Fields) -> dict[str, Any] | None:
        """What was measured last of a point, or None."""
        return next((point for point in self.points if identity.items() <= point.items()), None)

    def add(self, identity: _Fields, measured: _Fields) -> dict[str, Any]:
        """Adds what was measured of a point, in place of what was measured earlier, and appends it to the file."""
        point = {**measured, **identity}
        self._put(point)
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(_line(point))
        return point

    def _put(self, point: dict[str, Any]) -> None:
        earlier = self.find({name: point[name] for name in self._identity if name in point})
        if earlier is not None:
            self.points.remove(earlier)
        self.points.append(point)


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value) + "\n"
