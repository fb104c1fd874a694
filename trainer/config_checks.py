"""Checks a config before any work is done."""

import functools
import operator
import os
import re
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from trainer import config as configs
from trainer import config_kinds, data_checks, field_checks, model_checks, tasks
from trainer.distribution import strategy, tpu
from trainer.initialization import config_rules as initialization
from trainer.optimization import loss_scale, optimizer, schedule

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
_LARGEST_SEED = 2**31 - 1


def check_config(config: ConfigDict) -> None:
    """Checks every field that can be checked without the data and the devices.

    Args:
        config: Config of a run.

    Raises:
        ValueError: If a field breaks a rule; the message names the field, the rule and what was received.
    """
    config_kinds.check(config, configs.default_config())
    field_checks.check_choice(config, "task", tasks.TASKS)
    data_checks.check_paths(config.data)
    strategy.check_strategy(config.strategy)
    tpu.check_address(config.tpu_address)
    field_checks.check(config, "logical_devices", "must not be negative", lambda value: value >= 0)
    data_checks.check(config)
    _check_train(config)
    _check_optimizer(config)
    model_checks.check(config)
    initialization.check_fields(config)
    data_checks.check_source(config)
    _check_fields_of_other_tasks(config)
    tasks.find(config).check(config)


def check_batch(config: ConfigDict, replicas: int) -> None:
    """Checks that the replicas and the accumulation steps divide the batch evenly.

    Args:
        config: Config of a run.
        replicas: Number of replicas of its strategy.

    Raises:
        ValueError: If the batch cannot be divided evenly.
    """
    parts = replicas * config.train.accumulation_steps
    if config.train.batch_size % parts:
        raise ValueError(
            "`config.train.batch_size` must be divisible by the number of replicas times "
            f"`config.train.accumulation_steps`, {replicas} x {config.train.accumulation_steps} = {parts}. "
            f"Received: {config.train.batch_size}"
        )


def check_goes_on(
    config: ConfigDict, workdir: os.PathLike[str], now: Mapping[str, Any], checkpoint: Mapping[str, Any]
) -> None:
    """Checks that a run can go on from a checkpoint.

    Args:
        config: Config of the run.
        workdir: Folder of the run, for the message.
        now: Description of the run with this config; `data` has the fingerprints of its documents by part.
        checkpoint: Description in the checkpoint, with its `step`.

    Raises:
        ValueError: If the run began with other documents, or has done more steps than the config asks for.
    """
    for part, fingerprint in now["data"].items():
        if checkpoint["data"].get(part, fingerprint) != fingerprint:
            raise ValueError(
                f"`config.data` must give the same {part} documents that the run in `workdir` began with. "
                f"Received: other documents for {workdir}"
            )
    if checkpoint["step"] > config.train.steps:
        raise ValueError(
            f"`config.train.steps` must be at least the {checkpoint['step']} steps that the run in `workdir` has done. "
            f"Received: {config.train.steps}"
        )


def _check_train(config: ConfigDict) -> None:
    counts = ("steps", "batch_size", "accumulation_steps", "log_every", "checkpoint_every", "keep_checkpoints")
    for name in (*counts, "loss_scale_growth_steps"):
        field_checks.check(config, f"train.{name}", "must be at least 1", lambda value: value >= 1)
    numbers = ("profile_start", "profile_steps", "max_skipped_steps", "eval_examples", "checkpoint_minutes")
    for name in (*numbers, "early_stopping_evaluations", "early_stopping_min_improvement"):
        field_checks.check(config, f"train.{name}", "must not be negative", lambda value: value >= 0)
    for name in ("early_stopping_metric", "best_metric"):
        field_checks.check_choice(config, f"train.{name}", ("loss", *tasks.find(config).metric_directions))
    field_checks.check(config, "train.outstanding_steps", "must be at least 1", lambda value: value >= 1)
    if config.strategy != "parameter_server":
        rule = "must be 1 where `config.strategy` is not 'parameter_server'"
        field_checks.check(config, "train.outstanding_steps", rule, lambda value: value == 1)
    else:
        rule = "must not be True where `config.strategy` is 'parameter_server', whose variables XLA cannot read"
        field_checks.check(config, "train.jit_compile", rule, lambda value: value is not True)
    field_checks.check(config, "train.eval_every", "must be at least -1, which means never", lambda value: value >= -1)
    if config.train.early_stopping_evaluations:
        rule = "must be at least 1 where `config.train.early_stopping_evaluations` is above 0"
        field_checks.check(config, "train.eval_every", rule, lambda value: value >= 1)
    if config.report:
        measure = tasks.TASKS[config.task].measure.replace("_", " ")
        rule = f"must not be -1 where `config.report` is True: the report says the validation {measure}"
        field_checks.check(config, "train.eval_every", rule, lambda value: value >= 0)
    field_checks.check(config, "train.seed", "must be from 0 to 2**31 - 1", lambda value: 0 <= value <= _LARGEST_SEED)
    field_checks.check_choice(config, "train.precision", PRECISIONS)
    rule = f"must be a power of two from {loss_scale.LEAST:g} to {loss_scale.GREATEST:.0f}"
    field_checks.check(config, "train.loss_scale", rule, loss_scale.is_scale)


def _check_optimizer(config: ConfigDict) -> None:
    field_checks.check_choice(config, "optimizer.name", optimizer.OPTIMIZERS)
    field_checks.check_choice(config, "optimizer.schedule", schedule.SCHEDULES)
    for name in ("learning_rate", "epsilon", "adam_ratio"):
        field_checks.check(config, f"optimizer.{name}", "must be above 0", lambda value: value > 0)
    for name in ("warmup_steps", "schedule_steps", "clip_norm", "weight_decay"):
        field_checks.check(config, f"optimizer.{name}", "must not be negative", lambda value: value >= 0)
    rule = f"must be 0 where `config.optimizer.schedule` is not {schedule.WITH_AN_END!r}, which alone has an end"
    ends = config.optimizer.schedule == schedule.WITH_AN_END
    field_checks.check(config, "optimizer.schedule_steps", rule, lambda value: ends or value == 0)
    for name in ("beta_1", "beta_2", "ema_momentum"):
        field_checks.check(config, f"optimizer.{name}", "must be at least 0 and below 1", lambda value: 0 <= value < 1)
    field_checks.check(config, "optimizer.final_fraction", "must be from 0 to 1", lambda value: 0 <= value <= 1)
    rule = "must be regular expressions, each in quotes and followed by a comma: ('embedding', 'position')"
    field_checks.check(config, "optimizer.weight_decay_exclusions", rule, _are_expressions)


def _check_fields_of_other_tasks(config: ConfigDict) -> None:
    """Refuses what the task of the run would not use."""
    defaults, used = configs.default_config(), tasks.TASKS[config.task].fields
    for name, task in tasks.TASKS.items():
        for field in sorted({*task.fields} - {*used}):
            group, _, part = field.partition(".")
            rule = f"must be {defaults[group][part]!r} where `config.task` is {config.task!r}: it is for {name!r}"
            field_checks.check(config, field, rule, functools.partial(operator.eq, defaults[group][part]))


def _are_expressions(value: Any) -> bool:
    try:
        return isinstance(value, tuple) and all(re.compile(expression) is not None for expression in value)
    except (TypeError, re.error):
        return False
