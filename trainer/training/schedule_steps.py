"""How long the schedule of a run is, kept with the run; and what is said where a start changes the learning rate."""

from collections.abc import Mapping
from typing import Any

import keras
from ml_collections import ConfigDict

from trainer import config as configs
from trainer.optimization import schedule
from trainer.storage.workdir import Workdir

FIRST_STEPS = "first_train_steps"
"""In the description of a checkpoint: `config.train.steps` of the first start of the run."""


def first_steps(config: ConfigDict, workdir: Workdir, description: Mapping[str, Any] | None) -> int:
    """The steps that a run was first started with.

    Args:
        config: Config of this start.
        workdir: Folder of the run, with the config of the start before.
        description: Of the checkpoint that the run goes on from, if there is one.
    """
    if description is None:
        return config.train.steps
    if FIRST_STEPS in description:
        return description[FIRST_STEPS]
    # A run that is older than the field followed `train.steps`, if it has made a step at all.
    if description["step"] and workdir.config.exists():
        return configs.read_config(workdir.config).train.steps
    return config.train.steps


def make(config: ConfigDict, first: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """The schedule of a run.

    Args:
        config: Its config.
        first: The steps that it was first started with.
    """
    return schedule.from_config(config.optimizer, config.optimizer.schedule_steps or first)


def warnings(config: ConfigDict, workdir: Workdir, first: int, updates: int) -> list[str]:
    """What is to be said about the learning rate when a run starts.

    Args:
        config: Config of this start.
        workdir: Folder of the run, with the config of the start before.
        first: The steps that the run was first started with.
        updates: Number of updates done.

    Returns:
        Sentences.
    """
    now, steps = make(config, first), config.train.steps
    said = []
    if updates and workdir.config.exists():
        schedule_before = make(configs.read_config(workdir.config), first)
        last, expected, rate = (
            float(value) for value in (schedule_before(updates - 1), schedule_before(updates), now(updates))
        )
        if rate != expected:
            said.append(
                f"The learning rate was {last:.3g} in the last update and is {rate:.3g} in the next; the config before "
                f"would go on with {expected:.3g}"
            )
    end = config.optimizer.schedule_steps or first
    if config.optimizer.schedule == schedule.WITH_AN_END and steps > end:
        rate = float(now(end))
        nothing = "" if rate else ", with which nothing is learnt"
        said.append(
            f"The schedule of the learning rate ends after {end} updates and the run goes on to step {steps}: the rate "
            f"is {float(now(end - 1)):.3g} in the last of them and {rate:.3g} in all that follow{nothing}. "
            f"`config.optimizer.schedule_steps` sets another end, {steps} for instance"
        )
    return said
