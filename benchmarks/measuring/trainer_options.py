"""Options of the trainer for benchmarks that start it."""

import pathlib
from collections.abc import Mapping
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[2]


def options(config: str, workdir: pathlib.Path, changes: Mapping[str, Any]) -> list[str]:
    """The options of a run without export and report.

    Args:
        config: name of a config of `configs/`.
        workdir: folder of the run.
        changes: values by the name of a setting, such as `train.steps`.
    """
    return [
        f"--config={ROOT / 'configs' / f'{config}.py'}",
        f"--workdir={workdir}",
        *(f"--config.{name}={value}" for name, value in {"export": False, "report": False, **changes}.items()),
    ]


def sources(folder: str, validation_fraction: float) -> dict[str, Any]:
    """The changes by which a run trains on the sources in a folder of this project."""
    return {
        "data.name": "text",
        "data.path": ROOT / folder,
        "data.pattern": "*.py",
        "data.validation_fraction": validation_fraction,
    }
