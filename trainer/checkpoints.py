"""The checkpoints of a run: one file a step, the newest few kept, damaged ones passed over."""

import os
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from absl import logging

from trainer import atomic, checkpoint_file

_PATTERN = re.compile(r"step-(\d+)\.safetensors")


class Checkpoints:
    """The folder of a run's checkpoints.

    Args:
        folder: Where they are. Made by the first save.
        keep: How many of the newest to keep.
    """

    def __init__(self, folder: str | os.PathLike[str], keep: int = 3):
        self.folder = pathlib.Path(folder)
        self.keep = keep

    def steps(self) -> list[int]:
        """The steps that there is a checkpoint of, in ascending order, damaged or not."""
        if not self.folder.is_dir():
            return []
        return sorted(int(match[1]) for match in map(_PATTERN.fullmatch, os.listdir(self.folder)) if match)

    def save(self, step: int, arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> None:
        """Writes the checkpoint of `step`, then removes the oldest ones.

        Args:
            step: Number of steps done.
            arrays: Everything to keep, by name.
            description: Whatever else belongs to the state, as JSON knows it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        atomic.remove_leftovers(self.folder)
        checkpoint_file.write(self._path(step), arrays, {**description, "step": step})
        for old in self.steps()[: -self.keep]:
            self._path(old).unlink(missing_ok=True)

    def newest(self, set_aside: bool = False) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """Reads the newest checkpoint that is not damaged, and reports every damaged one it passes over.

        Args:
            set_aside: Whether to rename damaged ones, so that they do not count as checkpoints any more.

        Returns:
            Arrays by name and the description, which has `step`; `None` if there are no checkpoints.

        Raises:
            ValueError: If there are checkpoints but all of them are damaged.
        """
        steps = self.steps()
        damaged = []
        found = None
        for step in reversed(steps):
            try:
                found = checkpoint_file.read(self._path(step))
                break
            except checkpoint_file.DamagedCheckpoint as error:
                logging.error("Damaged checkpoint, the one before it is used: %s", error)
                damaged.append(self._path(step))
        if steps and found is None:
            raise ValueError(
                f"`workdir` must hold a checkpoint that can be read, or none. Received: {len(damaged)} damaged ones, "
                f"{', '.join(map(str, damaged))}"
            )
        for path in damaged if set_aside else ():
            os.replace(path, path.with_name(f"{path.name}.damaged"))
        return found

    def _path(self, step: int) -> pathlib.Path:
        return self.folder / f"step-{step:08d}.safetensors"
