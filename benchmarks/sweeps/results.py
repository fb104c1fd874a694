"""The file of a sweep: the arguments, the machine, every measurement, and the summary."""

import json
import pathlib
from typing import Any

from benchmarks.sweeps import summary
from benchmarks.sweeps.sweep import Point
from trainer import atomic

_MUST_AGREE = "so that ratios are within one run; choose another --output"


class Results:
    """Measurements; the complete file is written after each.

    Args:
        path: the file. If it exists, its measurements are continued.
        arguments: all arguments of the command.
        fixed: names of the arguments that must be the same when a sweep is continued.
        machine: the description of the machine.

    Raises:
        ValueError: if the file is no file of results, or was made with other fixed arguments or on another machine.
    """

    def __init__(self, path: pathlib.Path, arguments: dict[str, Any], fixed: list[str], machine: dict[str, Any]):
        self.path = path
        self.arguments = arguments
        self.machine = machine
        self.measurements: list[dict[str, Any]] = []
        if path.exists():
            self._continue(fixed)

    def _continue(self, fixed: list[str]) -> None:
        try:
            earlier = json.loads(self.path.read_text(encoding="utf-8"))
            before = {name: earlier["arguments"].get(name) for name in fixed}
            machine, measurements = earlier["machine"], earlier["measurements"]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"--output must be new or of an earlier run. Received: {self.path} ({error!r})") from error
        pairs = [(name, before[name], self.arguments[name]) for name in fixed]
        pairs += [(name, machine.get(name), self.machine[name]) for name in self.machine]
        for name, old, new in pairs:
            if old != new:
                raise ValueError(
                    f"{name} must be as in {self.path}, {_MUST_AGREE}. Received: {name}={new!r}, there {old!r}"
                )
        self.measurements = measurements

    def find(self, point: Point) -> dict[str, Any] | None:
        """The measurement of a point, or None."""
        identity = point.identity()
        return next((m for m in self.measurements if all(m[k] == v for k, v in identity.items())), None)

    def add(self, point: Point, measured: dict[str, Any]) -> dict[str, Any]:
        """Adds the measurement of a point, replacing an earlier one of the same point, and writes the file."""
        measurement = {**measured, **point.identity()}
        old = self.find(point)
        if old is not None:
            self.measurements.remove(old)
        self.measurements.append(measurement)
        self.write()
        return measurement

    def write(self) -> None:
        """Writes the file atomically."""
        content = {
            "arguments": self.arguments,
            "machine": self.machine,
            "summary": summary.summarize(self.measurements),
            "measurements": self.measurements,
        }
        atomic.write_text(self.path, json.dumps(content, indent=1) + "\n")
