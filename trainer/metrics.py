"""`metrics.jsonl`: one JSON object a line, each split and step once, whatever happens to the process."""

import errno
import json
import math
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from trainer import atomic


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
        kept = b""
        for line, record in _parse(content):
            if record["step"] <= step and not self.has(record["split"], record["step"]):
                self.records.append(record)
                kept += line
        if kept != content:
            with atomic.writing(self.path) as file:
                file.write(kept)
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

    def write(self, split: str, step: int, **numbers: float) -> dict[str, Any]:
        """Adds a line.

        Args:
            split: `train`, `validation`, or the name of another evaluation.
            step: Number of steps done, not less than in the line before.
            **numbers: What to record; a number that is not finite becomes `null`.

        Returns:
            The record.

        Raises:
            OSError: If the line could not be written, or only its beginning: the file must not be written to any more.
        """
        record = {"split": split, "step": step}
        record.update({name: value if math.isfinite(value) else None for name, value in numbers.items()})
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


def validation_losses(records: Iterable[dict[str, Any]]) -> dict[int, float]:
    """The loss of the plain evaluation by step, without losses that are not finite."""
    return {
        record["step"]: record["loss"]
        for record in records
        if record["split"] == "validation" and record.get("loss") is not None
    }


def best_step(losses: Mapping[int, float]) -> int | None:
    """The step of the smallest loss, the earliest of several; None if there is none.

    Args:
        losses: Loss by step.
    """
    return min(losses, key=lambda step: (losses[step], step), default=None)


def _parse(content: bytes) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """The whole lines, each with its record."""
    for line in content.splitlines(keepends=True):
        if not line.endswith(b"\n"):
            continue
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and {"split", "step"} <= record.keys():
            yield line, record


def _write_all(descriptor: int, data: bytes) -> None:
    """Writes all of it: a disk that fills up takes a part first."""
    rest = memoryview(data)
    while rest:
        written = os.write(descriptor, rest)
        if not written:
            raise OSError(errno.EIO, "The file takes nothing more")
        rest = rest[written:]
