"""Runs `trainer.task` with a pause in the middle of a write, so that a fault can hit it there.

The environment variable `PAUSE_IN` is the kind of write, `checkpoint` or `metrics`; `PAUSE_AT` its number, counted from
1. After half of the bytes the file `PAUSE_MARK` appears, and the rest is written after `PAUSE_SECONDS`.
"""

from trainer.commands import entry

if __name__ == "__main__":
    entry.begin(entry.STOP)

import os
import pathlib
import time
from typing import Any

from safetensors import numpy as safetensors_numpy

from trainer import task

_METRICS = "metrics.jsonl"


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


def _pause_in_checkpoint() -> None:
    pause, save = _Pause(), safetensors_numpy.save_file

    def paused(arrays: Any, path: pathlib.Path, metadata: Any) -> None:
        if pause.reached():
            save(arrays, path, metadata)
            os.truncate(path, path.stat().st_size // 2)
            pause.make()
        save(arrays, path, metadata)

    vars(safetensors_numpy)["save_file"] = paused


def _pause_in_metrics() -> None:
    pause, write = _Pause(), os.write

    def paused(descriptor: int, content: Any) -> int:
        if not os.readlink(f"/proc/self/fd/{descriptor}").endswith(_METRICS) or not pause.reached():
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
