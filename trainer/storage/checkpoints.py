"""The checkpoints of a run: one file a step; the newest few and the best stay, damaged ones are passed over."""

import os
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from absl import logging

from trainer import atomic
from trainer.storage import checkpoint_file, finite_check, metrics

_PATTERN = re.compile(r"step-(\d+)\.safetensors")


class Checkpoints:
    """The folder of a run's checkpoints.

    Args:
        folder: The folder. Made by the first save.
        keep: Number of newest checkpoints to keep.
    """

    def __init__(self, folder: str | os.PathLike[str], keep: int = 3):
        self.folder = pathlib.Path(folder)
        self.keep = keep
        self._in_the_way: set[int] = set()  # Steps of damaged files that could not be set aside.

    def steps(self) -> list[int]:
        """Returns the steps that have a checkpoint, damaged or not, in ascending order."""
        if not self.folder.is_dir():
            return []
        return sorted(int(match[1]) for match in map(_PATTERN.fullmatch, os.listdir(self.folder)) if match)

    def usable_steps(self) -> list[int]:
        """Returns the steps without those of damaged files that could not be set aside."""
        return [step for step in self.steps() if step not in self._in_the_way]

    def best(self, costs: Mapping[int, float]) -> int | None:
        """Finds the best step among those that have a checkpoint.

        Args:
            costs: Values of `metrics.validation_costs` by step.

        Returns:
            The earliest of the best steps; None if no checkpoint was evaluated.
        """
        return metrics.best_step({step: costs[step] for step in self.usable_steps() if step in costs})

    def save(
        self,
        step: int,
        arrays: Mapping[str, np.ndarray],
        description: Mapping[str, Any],
        costs: Mapping[int, float] | None = None,
    ) -> None:
        """Writes the checkpoint of `step`, then prunes the others.

        Args:
            step: Number of steps done.
            arrays: Arrays of the state by name.
            description: The rest of the state, anything that JSON can hold.
            costs: Values of `metrics.validation_costs` by step.

        Raises:
            NotFiniteArraysError: If an array is not finite, so that no run could go on from it.
            OSError: If the file cannot be written; the other checkpoints are unchanged.
        """
        finite_check.check(arrays)
        self.folder.mkdir(parents=True, exist_ok=True)
        atomic.remove_leftovers(self.folder)
        checkpoint_file.write(self._path(step), arrays, {**description, "step": step})
        self._in_the_way.discard(step)
        self.prune(costs or {})

    def prune(self, costs: Mapping[int, float]) -> None:
        """Removes all but the newest `keep` checkpoints and the best one.

        Args:
            costs: Values of `metrics.validation_costs` by step.
        """
        steps = self.usable_steps()
        retained = {*steps[-self.keep :], self.best(costs)}
        for old in steps:
            if old in retained:
                continue
            try:
                self._path(old).unlink(missing_ok=True)
            except OSError as error:
                logging.warning("A checkpoint that is not kept any more could not be removed: %s", error)

    def read(self, step: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Reads the checkpoint of a step.

        Args:
            step: Number of steps done.

        Returns:
            Arrays by name and the description, which has `step`.

        Raises:
            ValueError: If the checkpoint does not exist or is damaged.
        """
        steps = self.steps()
        if step not in steps:
            there = ", ".join(map(str, steps)) or "none"
            raise ValueError(f"`checkpoint` must be a step that there is a checkpoint of ({there}). Received: {step}")
        try:
            return checkpoint_file.read(self._path(step))
        except checkpoint_file.DamagedCheckpoint as error:
            raise ValueError(f"`checkpoint` must not be a damaged one. Received: {error}") from error

    def newest(self, set_aside: bool = False) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """Reads the newest checkpoint that is not damaged, and reports the damaged ones that it passes over.

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
                damaged.append(step)
        if steps and found is None:
            paths = ", ".join(str(self._path(step)) for step in damaged)
            raise ValueError(
                f"`workdir` must hold a checkpoint that can be read, or none. Received: {len(damaged)} damaged ones, "
                f"{paths}"
            )
        for step in damaged if set_aside else ():
            self._set_aside(step)
        return found

    def _set_aside(self, step: int) -> None:
        path = self._path(step)
        try:
            os.replace(path, path.with_name(f"{path.name}.damaged"))
        except OSError as error:
            logging.error("A damaged checkpoint could not be renamed and is passed over where it is: %s", error)
            self._in_the_way.add(step)

    def _path(self, step: int) -> pathlib.Path:
        return self.folder / f"step-{step:08d}.safetensors"
