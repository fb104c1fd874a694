"""Number of steps of the schedule of a run, and warnings where a start changes the learning rate."""

from collections.abc import Mapping
from typing import Any

import keras
from ml_collections import ConfigDict

from trainer import config as configs
from trainer.optimization import schedule
from trainer.storage.workdir import Workdir

FIRST_STEPS = "first_train_steps"
"""Key in the description of a checkpoint: `config.train.steps` of the first start of the run."""


def first_steps(config: ConfigDict, workdir: Workdir, description: Mapping[str, Any] | None) -> int:
    """Returns `config.train.steps` of the first start of a run.

    Args:
        config: Config of this start.
        workdir: Folder of the run, with the config of the previous start.
        description: Description of the checkpoint that the run goes on from, if any.
    """
    if description is None:
        return config.train.steps
    if FIRST_STEPS in description:
        return description[FIRST_STEPS]
    # Runs older than the field followed `train.steps`, if they have made a step.
    if description["step"] and workdir.config.exists():
        return configs.read_config(workdir.config).train.steps
    return config.train.steps


def make(config: ConfigDict, first: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """Makes the schedule of a run.

    Args:
        config: Config of the run.
        first: `config.train.steps` of its first start.
    """
    return schedule.from_config(config.optimizer, config.optimizer.schedule_steps or first)


def warnings(config: ConfigDict, workdir: Workdir, first: int, updates: int) -> list[str]:
    """Makes warnings about the learning rate of a run that starts.

    Args:
        config: Config of this start.
        workdir: Folder of the run, with the config of the previous start.
        first: `config.train.steps` of the first start.
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
