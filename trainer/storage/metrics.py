"""The file `metrics.jsonl`: one JSON object a line, each split and step once, even if the process is killed."""

import errno
import json
import math
import os
import pathlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from absl import logging

from trainer import atomic, json_text, tasks

_LARGEST = sys.float_info.max

MEASURED = ("tokens_per_second", "peak_memory_mib", "wall_time")
"""Fields that differ even between equal runs; leave them out to compare two runs bit for bit."""


class Metrics:
    """The metrics file of a run, cut at the step of the restored state.

    Lines of later steps are dropped, because the run will write them again, and so are incomplete lines. The file is
    replaced atomically.

    Args:
        path: The file. Made if it does not exist.
        step: Number of steps done in the restored state.

    Attributes:
        records: The records of the file, in order.
    """

    def __init__(self, path: str | os.PathLike[str], step: int = 0):
        self.path = pathlib.Path(path)
        self.records: list[dict[str, Any]] = []
        content = self.path.read_bytes() if self.path.exists() else b""
        valid = b""
        for line, record in _parse(content):
            if record["step"] <= step and not self.has(record["split"], record["step"]):
                self.records.append(record)
                valid += line
        if valid != content:
            with atomic.writing(self.path) as file:
                file.write(valid)
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def has(self, split: str, step: int) -> bool:
        """Whether there is a line of this split and step."""
        return self.find(split, step) is not None

    def find(self, split: str, step: int) -> dict[str, Any] | None:
        """Returns the record of a split and step, or `None`."""
        for record in reversed(self.records):
            if record["step"] < step:
                return None
            if (record["split"], record["step"]) == (split, step):
                return record
        return None

    def write(self, split: str, step: int, **numbers: float | None) -> dict[str, Any]:
        """Adds a line.

        Args:
            split: `train`, `validation`, or the name of another evaluation.
            step: Number of steps done, not less than in the previous line.
            **numbers: Numbers to record; `None` and numbers that are not finite become `null`.

        Returns:
            The record.

        Raises:
            OSError: If the line could not be written, or only its beginning. Do not write to the file any more.
        """
        record: dict[str, Any] = {"split": split, "step": step}
        record.update({name: value if _is_finite(value) else None for name, value in numbers.items()})
        _write_all(self._descriptor, (json.dumps(record, allow_nan=False) + "\n").encode("utf-8"))
        self.records.append(record)
        return record

    def sync(self) -> None:
        """Makes the lines durable. Call it before the checkpoint of their step is written."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Closes the file."""
        os.close(self._descriptor)


def read_records(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Reads the records of a metrics file, in order, without incomplete lines; none if there is no file."""
    return [record for _, record in read_lines(path)]


def read_lines(path: str | os.PathLike[str]) -> list[tuple[bytes, dict[str, Any]]]:
    """Reads records as `read_records` does, each with its line."""
    path = pathlib.Path(path)
    return list(_parse(path.read_bytes())) if path.exists() else []


def evaluations(records: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Selects the validation records that can be compared: those with as many tokens as the newest, in order.

    An evaluation on other examples (`config.train.eval_examples` may change in a run) has another loss without any
    change of the model.
    """
    found = [record for record in records if record["split"] == "validation"]
    return [record for record in found if record.get("tokens") == found[-1].get("tokens")]


def validation_costs(records: Iterable[Mapping[str, Any]], metric: str = "loss") -> dict[int, float]:
    """Returns a metric of `evaluations` by step, without values that are not finite.

    Args:
        records: Records of a run, in order.
        metric: `loss` or a metric of the task. One of which more is better is negated, so that the smallest is best.
    """
    values = {record["step"]: record.get(metric) for record in evaluations(records)}
    return {step: cost(metric, value) for step, value in values.items() if value is not None}


def cost(metric: str, value: float) -> float:
    """Returns a value of a metric, negated if more of it is better.

    Example:
        >>> cost("accuracy", 0.75), cost("loss", 0.75)
        (-0.75, 0.75)
    """
    return tasks.direction(metric) * value


def best_step(costs: Mapping[int, float]) -> int | None:
    """Finds the step of the smallest cost, the earliest of several; None if there is none.

    Args:
        costs: Values of `validation_costs` by step.
    """
    return min(costs, key=lambda step: (costs[step], step), default=None)


def _parse(content: bytes) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Yields complete lines with their records; warns of damaged lines, which are left out."""
    damaged = []
    for number, line in enumerate(content.split(b"\n")[:-1], 1):  # A line without an end is incomplete.
        try:
            record = json_text.parse_object(line)
        except ValueError:
            damaged.append(number)
            continue
        if _is_record(record):
            yield line + b"\n", record
        else:
            damaged.append(number)
    if damaged:
        logging.warning(
            "metrics.jsonl has %d damaged line(s), which are left out; the first is line %d", len(damaged), damaged[0]
        )


def _is_record(record: dict[str, Any]) -> bool:
    """Whether a record has a split and a step, and its loss and other numbers, if any, are finite."""
    split, step, loss = record.get("split"), record.get("step"), record.get("loss")
    numbers = [value for value in record.values() if isinstance(value, int | float)]
    is_loss = loss is None or type(loss) in (int, float)
    return isinstance(split, str) and type(step) is int and is_loss and all(abs(n) <= _LARGEST for n in numbers)


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _write_all(descriptor: int, data: bytes) -> None:
    """Writes all data, in several calls if one writes only a part, as when the disk fills up."""
    rest = memoryview(data)
    while rest:
        written = os.write(descriptor, rest)
        if not written:
            raise OSError(errno.EIO, "The file takes nothing more")
        rest = rest[written:]
