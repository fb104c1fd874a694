"""Runs `trainer.task` with a pause in the middle of a write, so that a fault can hit it there.

The environment variable `PAUSE_IN` is the kind of write, `checkpoint` or `metrics`; `PAUSE_AT` its number, counted from
1. After half of the bytes the file `PAUSE_MARK` appears, and the rest is written after `PAUSE_SECONDS`.
"""

from trainer.commands import entry

if __name__ == "__main__":
    entry.begin(entry.STOP)

import contextlib
import os
import pathlib
import time
from collections.abc import Iterator
from typing import Any

from trainer import atomic, task

_ENDINGS = {"checkpoint": ".safetensors", "metrics": "metrics.jsonl"}


class _Pause:
    """Counts writes, and pauses in one of them."""

    def __init__(self) -> None:
        self._left = int(os.environ["PAUSE_AT"])

    def reached(self) -> bool:
        self._left -= 1
        return self._left == 0

    def make(self) -> None:
        pathlib.Path(os.environ["PAUSE_MARK"]).touch()
        time.sleep(float(os.environ["PAUSE_SECONDS"]))


class _HalfWriting:
    """A file that pauses in the middle of writing an array."""

    def __init__(self, file: Any, pause: _Pause):
        self._file = file
        self._pause = pause
        self._writes = 0

    def write(self, content: Any) -> int:
        self._writes += 1
        if self._writes == 3:  # After the length and the header.
            half = len(content) // 2
            self._file.write(content[:half])
            self._file.flush()
            self._pause.make()
            return half + self._file.write(content[half:])
        return self._file.write(content)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _pause_in_checkpoint() -> None:
    pause, writing = _Pause(), atomic.writing

    @contextlib.contextmanager
    def paused(path: str | os.PathLike[str]) -> Iterator[Any]:
        with writing(path) as file:
            is_it = str(path).endswith(_ENDINGS["checkpoint"]) and pause.reached()
            yield _HalfWriting(file, pause) if is_it else file

    atomic.writing = paused


def _pause_in_metrics() -> None:
    pause, write = _Pause(), os.write

    def paused(descriptor: int, content: Any) -> int:
        if not os.readlink(f"/proc/self/fd/{descriptor}").endswith(_ENDINGS["metrics"]) or not pause.reached():
            return write(descriptor, content)
        half = write(descriptor, content[: len(content) // 2])
        pause.make()
        return half + write(descriptor, content[half:])

    os.write = paused


if __name__ == "__main__":
    where = os.environ.get("PAUSE_IN")
    if where == "checkpoint":
        _pause_in_checkpoint()
    elif where == "metrics":
        _pause_in_metrics()
    task.run()
