"""`metrics.jsonl`: one JSON object a line, each split and step once, whatever happens to the process."""

import errno
import json
import math
import os
import pathlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from absl import logging

from trainer import atomic, json_text

_LARGEST = sys.float_info.max

MEASURED = ("tokens_per_second", "peak_memory_mib", "wall_time")
"""Fields that differ between runs that are the same otherwise: leave them out to compare two runs bit for bit."""


class Metrics:
    """The metrics file of a run, taken up where a restored state left it.

    Lines of later steps are dropped, as the run will write them again, and so is a line that a dying process left
    half written. The file changes as a whole or not at all.

    Args:
        path: The file. Made if it is not there.
        step: Number of steps done in the restored state.

    Attributes:
        records: What the file holds, in order.
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
        """The record of a split and step, or `None`."""
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
            step: Number of steps done, not less than in the line before.
            **numbers: What to record; a number that is not finite, and `None`, become `null`.

        Returns:
            The record.

        Raises:
            OSError: If the line could not be written, or only its beginning: the file must not be written to any more.
        """
        record: dict[str, Any] = {"split": split, "step": step}
        record.update({name: value if _is_finite(value) else None for name, value in numbers.items()})
        _write_all(self._descriptor, (json.dumps(record, allow_nan=False) + "\n").encode("utf-8"))
        self.records.append(record)
        return record

    def sync(self) -> None:
        """Makes the lines durable; called before a checkpoint that stands for them is written."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Closes the file."""
        os.close(self._descriptor)


def read_records(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """What a metrics file holds, in order, without a line that is half written; nothing if there is no file."""
    return [record for _, record in read_lines(path)]


def read_lines(path: str | os.PathLike[str]) -> list[tuple[bytes, dict[str, Any]]]:
    """As `read_records`, each with the line that it stands in."""
    path = pathlib.Path(path)
    return list(_parse(path.read_bytes())) if path.exists() else []


def evaluations(records: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The lines of the plain evaluation that can be compared, in order: those of as many tokens as the newest.

    An evaluation of other examples (`config.train.eval_examples` may change in a run) has another loss, for no merit of
    the model.
    """
    found = [record for record in records if record["split"] == "validation"]
    return [record for record in found if record.get("tokens") == found[-1].get("tokens")]


def validation_losses(records: Iterable[Mapping[str, Any]]) -> dict[int, float]:
    """The loss of `evaluations` by step, without losses that are not finite."""
    return {record["step"]: record["loss"] for record in evaluations(records) if record.get("loss") is not None}


def best_step(losses: Mapping[int, float]) -> int | None:
    """The step of the smallest loss, the earliest of several; None if there is none.

    Args:
        losses: Loss by step.
    """
    return min(losses, key=lambda step: (losses[step], step), default=None)


def _parse(content: bytes) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """The whole lines, each with its record, without those that are none; of these, the first is named."""
    damaged = []
    for number, line in enumerate(content.split(b"\n")[:-1], 1):  # What follows the last end of a line is torn.
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
    """Whether it has a split, a step, and, if any, a loss and other numbers that are finite."""
    split, step, loss = record.get("split"), record.get("step"), record.get("loss")
    numbers = [value for value in record.values() if isinstance(value, int | float)]
    is_loss = loss is None or type(loss) in (int, float)
    return isinstance(split, str) and type(step) is int and is_loss and all(abs(n) <= _LARGEST for n in numbers)


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _write_all(descriptor: int, data: bytes) -> None:
    """Writes all of it: a disk that fills up takes a part first."""
    rest = memoryview(data)
    while rest:
        written = os.write(descriptor, rest)
        if not written:
            raise OSError(errno.EIO, "The file takes nothing more")
        rest = rest[written:]
