"""The folder of a run: its paths, its lock, and the check that a config fits the run in it."""

import os
from typing import Any

from ml_collections import ConfigDict

from reformer_tf import local_paths
from trainer import atomic, model_fields
from trainer import config as configs
from trainer.storage.checkpoints import Checkpoints
from trainer.storage.folder_lock import FolderLock

_FIXED = (
    "config.model.",
    "config.data.group_by_length",
    "config.data.labels",
    "config.data.layout",
    "config.data.source_length",
    "config.data.tokens",
    "config.data.train_windows",
    "config.init_",
    "config.masking.",
    "config.optimizer.name",
    "config.task",
    "config.train.batch_size",
    "config.train.seed",
    "config.train.sequence_length",
)
"""Fields that cannot change within a run: they decide its weights, its slots, or the examples that it has seen."""
_FIXED_BEFORE_THE_FIRST_STEP = ("config.task", "config.model.", "config.data.tokens", "config.init_")


class Workdir:
    """The folder of a run.

    Args:
        root: The folder. Not touched here.

    Attributes:
        config: Path of the config of the run.
        metrics: Path of the metrics, one JSON object a line.
        events: Folder of the event files and profiles for TensorBoard.
        export: Folder of the exported models.
        report: Path of the final report.
        sample: Path of the sample of generated text.

    Raises:
        ValueError: If the path is not one of the local file system.
    """

    def __init__(self, root: str | os.PathLike[str]):
        self.root = local_paths.checked_folder("`workdir`", root)
        self.config = self.root / "config.json"
        self.metrics = self.root / "metrics.jsonl"
        self.events = self.root / "tensorboard"
        self.export = self.root / "export"
        self.report = self.root / "report.json"
        self.sample = self.root / "sample.txt"
        self._lock = FolderLock(self.root)

    def checkpoints(self, keep: int = 1) -> Checkpoints:
        """Returns the checkpoints of the run; `save` keeps the newest `keep`."""
        return Checkpoints(self.root / "checkpoints", keep)

    def lock(self) -> None:
        """Makes the folder and locks it until the process ends or calls `unlock`; removes what killed ones left in it.

        Raises:
            ValueError: If another process has locked it.
        """
        self._lock.take()
        atomic.remove_leftovers(self.root)

    def unlock(self) -> None:
        """Lets other processes use the folder."""
        self._lock.release()

    def abandon(self) -> None:
        """Undoes `lock` without a trace, for a run that is refused."""
        self._lock.undo()

    def config_before(self) -> ConfigDict | None:
        """Returns the config of the run in the folder; None if there are no checkpoints."""
        return configs.read_config(self.config) if self.config.exists() and self.checkpoints().steps() else None

    def check_config(self, config: ConfigDict) -> dict[str, tuple[Any, Any]]:
        """Checks that a run with this config may go on from the checkpoints here.

        Args:
            config: Config of the run that is to start.

        Returns:
            Fields that differ from the run's config and may differ, with both values.

        Raises:
            ValueError: If the checkpoints here belong to another model or to another sequence of examples.
        """
        steps = self.checkpoints().steps()
        if not steps or not self.config.exists():
            return {}
        before, now = (_comparable(each) for each in (configs.read_config(self.config), config))
        found = configs.differences(before, now)
        # At step 0 no example was seen and the slots are new.
        unchanging = _FIXED if max(steps) else _FIXED_BEFORE_THE_FIRST_STEP
        fixed = {field: values for field, values in found.items() if field.startswith(unchanging)}
        if fixed:
            listed = "; ".join(f"{field} was {old!r} and is {new!r}" for field, (old, new) in fixed.items())
            raise ValueError(
                f"`workdir` must be a new folder or hold a run with the same model, data layout, batch and seed. "
                f"Received: {self.root}, where {listed}"
            )
        return found


def _comparable(config: ConfigDict) -> dict[str, Any]:
    """Converts a config to a dictionary with all arguments of the model, so that equal models compare equal."""
    fields = configs.as_dict(config)
    return {**fields, "model": model_fields.completed(fields["task"], fields["model"])}
