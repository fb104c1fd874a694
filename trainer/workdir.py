"""The folder of a run: what lies where, who may use it, and which runs may go on in it."""

import fcntl
import os
import pathlib
from typing import Any

from absl import logging
from ml_collections import ConfigDict

from trainer import config as configs
from trainer.checkpoints import Checkpoints

_FIXED = (
    "config.model.",
    "config.data.layout",
    "config.data.tokens",
    "config.data.train_windows",
    "config.optimizer.name",
    "config.train.batch_size",
    "config.train.seed",
    "config.train.sequence_length",
)
"""What cannot change within a run: its weights, its slots, or which examples it has seen."""
_FIXED_BEFORE_THE_FIRST_STEP = ("config.model.", "config.data.tokens")


class Workdir:
    """The folder of a run.

    Args:
        root: The folder. Not touched here.

    Attributes:
        config: Path of the config of the run.
        metrics: Path of the metrics, one JSON object a line.
        events: Folder of the event files and profiles for TensorBoard.
        export: Folder of the exported models.
        report: Path of the closing report.
        sample: Path of the sample of generated text.
    """

    def __init__(self, root: str | os.PathLike[str]):
        self.root = pathlib.Path(root)
        self.config = self.root / "config.json"
        self.metrics = self.root / "metrics.jsonl"
        self.events = self.root / "tensorboard"
        self.export = self.root / "export"
        self.report = self.root / "report.json"
        self.sample = self.root / "sample.txt"
        self._lock: int | None = None

    def checkpoints(self, keep: int = 1) -> Checkpoints:
        """The checkpoints of the run, of which `save` keeps so many."""
        return Checkpoints(self.root / "checkpoints", keep)

    def lock(self) -> None:
        """Makes the folder and takes it for this process, until it ends or calls `unlock`.

        Raises:
            ValueError: If another process has it.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise ValueError(f"`workdir` must not be in use by another run. Received: {self.root}") from error
        except OSError as error:  # Mounted buckets may know no locks.
            logging.warning("%s cannot be locked (%s): no other run may use it at the same time", self.root, error)
        self._lock = descriptor

    def unlock(self) -> None:
        """Lets other processes use the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def config_before(self) -> ConfigDict | None:
        """The config of the run that has checkpoints here; None if there are none."""
        return configs.read_config(self.config) if self.config.exists() and self.checkpoints().steps() else None

    def check_config(self, config: ConfigDict) -> dict[str, tuple[Any, Any]]:
        """Checks that a run with this config may go on from the checkpoints here.

        Args:
            config: Config of the run that is to start.

        Returns:
            Fields that differ from those of the run before and may differ, with both values.

        Raises:
            ValueError: If the checkpoints here belong to another model or to another order of the examples.
        """
        steps = self.checkpoints().steps()
        if not steps or not self.config.exists():
            return {}
        before = configs.as_dict(configs.read_config(self.config))
        found = configs.differences(before, configs.as_dict(config))
        # No example was seen yet, and the optimizer is as new.
        unchanging = _FIXED if max(steps) else _FIXED_BEFORE_THE_FIRST_STEP
        fixed = {field: values for field, values in found.items() if field.startswith(unchanging)}
        if fixed:
            listed = "; ".join(f"{field} was {old!r} and is {new!r}" for field, (old, new) in fixed.items())
            raise ValueError(
                f"`workdir` must be a new folder or hold a run with the same model, data layout, batch and seed. "
                f"Received: {self.root}, where {listed}"
            )
        return found
