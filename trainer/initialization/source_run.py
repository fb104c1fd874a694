"""The run whose weights another run begins with."""

from __future__ import annotations

import os
from typing import Any

import keras
import numpy as np
from ml_collections import ConfigDict

from reformer_tf import local_paths
from trainer import config as configs
from trainer import tasks
from trainer.initialization import followed_fields, id_meanings, matching
from trainer.initialization.config_rules import TILE
from trainer.optimization.moving_average import MovingAverage
from trainer.storage import checkpoint_choice, checkpoint_file, finite_check, named_variables
from trainer.storage.workdir import Workdir

_SHOWN = 8
_ADAPTER = "/lora_"


class SourceRun:
    """A run, or what `trainer.convert` wrote, whose weights a new run begins with.

    It is read here, so that all that can be refused without the new model is refused early, and never again.

    Args:
        config: Config of the new run, which has `init_from`.
        workdir: Folder of the new run.

    Attributes:
        followed: Arguments of the model that the new run takes from here, see `followed_fields`.
        description: What the checkpoints and exports of the new run say about where its weights come from: the name of
            the folder, the step, and the checksum of the checkpoint.

    Raises:
        ValueError: If the folder is not that of another run with such a checkpoint, or its ids or positions do not fit
            the new run; the message names the field of the config.
    """

    def __init__(self, config: ConfigDict, workdir: Workdir):
        self._config = config
        self._root = local_paths.checked_folder("`config.init_from`", config.init_from)
        self._source = self._read_config(workdir)
        self._ids_mean_the_same = self._compare_ids()
        self.followed = followed_fields.from_source(config, self._source)
        self._arrays, self.description = self._read()

    def give(self, model: keras.Model, average: MovingAverage | None = None) -> str:
        """Gives weights to a model.

        Args:
            model: The model of the new run, with the weights that its seed gives.
            average: The moving average of its weights, which begins anew.

        Returns:
            What was taken and what was not, for people.

        Raises:
            ValueError: If the backbones do not fit and `config.init_partial` does not allow it, or nothing fits. The
                model is unchanged then.
        """
        variables = named_variables.named_variables(model)
        found = matching.match(
            variables,
            self._arrays,
            with_head=_head(self._config) == _head(self._source),
            with_id_tables=self._ids_mean_the_same,
            tile=self._config.init_positions == TILE,
            masks=(tasks.TASKS[self._config.task].has_mask, tasks.TASKS[self._source.task].has_mask),
        )
        if found.misfits and not self._config.init_partial:
            more = f" and {len(found.misfits) - _SHOWN} more" if len(found.misfits) > _SHOWN else ""
            raise ValueError(
                "`config.init_from` must hold a backbone that fits `config.model`, variable by variable, unless "
                f"`config.init_partial` is True. Received: {self._root}: {'; '.join(found.misfits[:_SHOWN])}{more}"
            )
        if not found.values:
            raise ValueError(
                f"`config.init_from` must hold weights of which some fit `config.model`. Received: {self._root}: "
                f"{'; '.join(found.misfits[:_SHOWN])}"
            )
        for name, value in found.values.items():
            variables[name].assign(value)
        if average is not None:
            average.reset()
        return self._told(found)

    def _told(self, found: matching.Matching) -> str:
        step, checkpoint = self.description["step"], self._config.init_checkpoint
        chosen = "" if checkpoint.isdigit() else f", the {checkpoint}"
        taken, number = len(found.values), len(found.values) + len(found.initialised)
        lines = {
            "Changed": found.changed,
            "Initialised": found.initialised,
            "Not used": found.left_out,
            "Followed": [f"{name}={value!r}" for name, value in self.followed.items()],
            "Other settings": self._other_settings(),
        }
        return "\n".join(
            [
                f"Weights of step {step}{chosen}, in {self._root}: {taken} variables of {number} are taken; "
                "rotations and rows of random features are made from the seed.",
                *(f"  {label}: {'; '.join(entries)}" for label, entries in lines.items() if entries),
            ]
        )

    def _other_settings(self) -> list[str]:
        """Describes arguments of both models that differ, except those that were filled in."""
        there, here = (followed_fields.backbones(each) for each in (self._source, self._config))
        told = []
        for backbone in sorted({*there} & {*here}):
            options = self.followed.get(f"{backbone}_options", {}) if backbone else self.followed
            in_both = ({*there[backbone]} & {*here[backbone]}) - {*options}
            found = configs.differences(there[backbone], here[backbone], "")
            told += [
                f"{backbone}{' ' if backbone else ''}{name} was {old!r} and is {new!r}"
                for name, (old, new) in found.items()
                if name.split(".")[0] in in_both
            ]
        return told

    def _read_config(self, workdir: Workdir) -> ConfigDict:
        root, own = self._root.resolve(), workdir.root.resolve()
        if root.is_relative_to(own):
            raise ValueError(
                f"`config.init_from` must be the folder of another run than `workdir`. Received: {self._root} for "
                f"{workdir.root}"
            )
        if not (root / "config.json").exists():
            raise ValueError(
                "`config.init_from` must be the folder of a run, or one that trainer.convert wrote. "
                f"Received: {self._root}, where there is no config.json"
            )
        source = self._named(configs.read_config, root / "config.json")
        if source.task not in tasks.TASKS:
            raise ValueError(
                f"`config.init_from` must be a run of a task that there is, {', '.join(tasks.TASKS)}. "
                f"Received: {self._root}, of {source.task!r}"
            )
        return source

    def _compare_ids(self) -> bool:
        """Whether ids mean the same in both runs; refused if they do not and everything must fit."""
        there, here = self._named(id_meanings.of_config, self._source), id_meanings.of_config(self._config)
        if there != here and not self._config.init_partial:
            raise ValueError(
                "`config.data` must give ids that mean the same as in the run in `config.init_from`, unless "
                "`config.init_partial` is True, with which the vectors of ids are not taken. "
                f"Received: {here}, where {self._root} has {there}"
            )
        return there == here

    def _read(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Reads the weights of the checkpoint, moving averages if the run has them."""
        checkpoint, metric = self._config.init_checkpoint, self._source.train.best_metric
        arrays, description = self._named(checkpoint_choice.read, Workdir(self._root), checkpoint, metric)
        has_average = self._source.optimizer.ema_momentum
        weights = named_variables.averaged(arrays) if has_average else named_variables.model_entries(arrays)
        self._named(finite_check.check, weights)
        adapted = [name for name in weights if _ADAPTER in name]
        if adapted:
            raise ValueError(
                "`config.init_from` must hold weights without low-rank adapters; merge_adapters() of the model merges "
                f"them. Received: {self._root}, with {', '.join(adapted[:_SHOWN])}"
            )
        return weights, {
            "folder": os.path.basename(self._root.resolve()),
            "step": description["step"],
            "sha256": checkpoint_file.checksum(arrays, description),
        }

    def _named(self, function: Any, *arguments: Any) -> Any:
        """Calls a function of the other run, whose errors name arguments that the user did not give."""
        try:
            return function(*arguments)
        except ValueError as error:
            raise ValueError(
                f"`config.init_from` must be a run whose weights can be read, with `config.init_checkpoint` "
                f"{self._config.init_checkpoint!r}. Received: {self._root}: {error}"
            ) from error


def _head(config: ConfigDict) -> list[Any]:
    """What the outputs of the head of a run stand for, besides ids: it fits where this is the same."""
    return [config.task, list(config.data.get("labels", ()))]


def begin(config: ConfigDict, workdir: Workdir) -> SourceRun | None:
    """Fills in what a run takes from another one besides weights, and opens that if the run has not begun.

    Args:
        config: Config of a run; `followed_fields` are filled in.
        workdir: Folder of the run.

    Returns:
        The run to begin with; None if there is none, or the run here goes on from a checkpoint of its own.

    Raises:
        ValueError: As `SourceRun` does.
    """
    if not config.init_from:
        return None
    before = workdir.config_before()
    if before is not None:
        followed_fields.fill_in(config, followed_fields.of_run(before))
        return None
    source = SourceRun(config, workdir)
    followed_fields.fill_in(config, source.followed)
    return source
