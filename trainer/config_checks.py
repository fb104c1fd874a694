"""Checks a config before any work is done."""

import functools
import operator
import os
import re
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from reformer_tf import local_paths
from reformer_tf.models import attention_kinds, model_arguments
from reformer_tf.ops import bucket_counts
from trainer import config as configs
from trainer import config_kinds, field_checks, model_fields, spelling, tasks
from trainer.data import corpora, segments
from trainer.distribution import strategy, tpu
from trainer.initialization import config_rules as initialization
from trainer.optimization import loss_scale, optimizer, schedule

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
_LARGEST_SEED = 2**31 - 1
_OF_TEXT = {"tokens": "bytes", "sentencepiece_model": "", "separate_documents": False}  # Ids have no boundary.
_PATHS = ("path", "validation_path", "sentencepiece_model", "data_dir")


def check_config(config: ConfigDict) -> None:
    """Checks every field that can be checked without the data and the devices.

    Args:
        config: Config of a run.

    Raises:
        ValueError: If a field breaks a rule; the message names the field, the rule and what was received.
    """
    config_kinds.check(config, configs.default_config())
    field_checks.check_choice(config, "task", tasks.TASKS)
    _check_paths(config.data)
    strategy.check_strategy(config.strategy)
    tpu.check_address(config.tpu_address)
    field_checks.check(config, "logical_devices", "must not be negative", lambda value: value >= 0)
    _check_data(config)
    _check_train(config)
    _check_optimizer(config)
    _check_model(config)
    initialization.check_fields(config)
    source = corpora.SOURCES[config.data.name]
    if source.check is not None:
        source.check(config)
    _check_fields_of_other_tasks(config)
    tasks.find(config).check(config)


def check_unused_fields(config: ConfigDict) -> None:
    """Checks that no field of another source of documents is set.

    Not a part of `check_config`, because a run may be evaluated on another source than its own.

    Args:
        config: Config of a run that is to train.

    Raises:
        ValueError: If one is.
    """
    defaults = configs.default_data_config()
    for name, readers in corpora.unused_fields(config.data.name).items():
        rule = f"must be {defaults[name]!r} where `config.data.name` is not {' or '.join(map(repr, readers))}"
        field_checks.check(config, f"data.{name}", rule, functools.partial(operator.eq, defaults[name]))


def check_data_dir(config: ConfigDict) -> None:
    """Checks that `config.data.data_dir` is used.

    Not a part of `check_config`, because runs of the standard library that began earlier may have it in their config.

    Args:
        config: Config of a new run.

    Raises:
        ValueError: If it is set for a corpus that does not read it.
    """
    rule = "must be empty unless `config.data.name` is 'tfds', or 'labelled_text' with `tfds_name`: these alone read it"
    field_checks.check(config, "data.data_dir", rule, lambda value: not value or _reads_data_set(config.data))


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


def _reads_data_set(data: ConfigDict) -> bool:
    return data.name == "tfds" or (data.name == "labelled_text" and data.tfds_name != "")


def _check_paths(data: ConfigDict) -> None:
    for name in _PATHS:
        # TensorFlow Datasets reads and writes buckets of Google Cloud itself.
        is_bucket = _reads_data_set(data) and name == "data_dir" and data[name].startswith("gs://")
        if data[name] and not is_bucket:
            local_paths.checked(f"`config.data.{name}`", data[name])


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


def _check_data(config: ConfigDict) -> None:
    corpora.import_module(config.data.module)
    field_checks.check_choice(config, "data.name", corpora.SOURCES)
    contents = tasks.TASKS[config.task].contents
    there = corpora.SOURCES[config.data.name].contents
    if there not in contents:
        raise ValueError(
            f"`config.data.name` must be a source of {' or '.join(contents)} where `config.task` is {config.task!r}. "
            f"Received: {config.data.name!r}, a source of {there}"
        )
    source = corpora.SOURCES[config.data.name]
    if not source.has_text:
        rule = f"must be left at its default where `config.data.name` is {config.data.name!r}, a source of ids"
        for name, default in _OF_TEXT.items():
            field_checks.check(config, f"data.{name}", rule, functools.partial(operator.eq, default))
    _check_labels(config)
    longest = config.train.sequence_length
    buckets = (0, *config.data.length_buckets)
    rule = f"must be positive integers in ascending order, none above `config.train.sequence_length`, {longest}"
    ascending = all(isinstance(bucket, int) for bucket in buckets) and list(buckets) == sorted({*buckets})
    field_checks.check(config, "data.length_buckets", rule, lambda _: ascending and buckets[-1] <= longest)
    rule = "must be empty unless `config.data.layout` is 'padded'"
    field_checks.check(config, "data.length_buckets", rule, lambda value: not value or config.data.layout == "padded")


def _check_labels(config: ConfigDict) -> None:
    labels, has_labels = config.data.labels, corpora.SOURCES[config.data.name].has_labels
    rule = "must be empty unless `config.data.name` is a source with labels"
    field_checks.check(config, "data.labels", rule, lambda _: not labels or has_labels)
    rule = "must be different strings, none empty"
    are_names = all(isinstance(label, str) and label for label in labels) and len({*labels}) == len(labels)
    field_checks.check(config, "data.labels", rule, lambda _: are_names)


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


def _check_model(config: ConfigDict) -> None:
    if "dtype" in config.model:
        raise ValueError(
            f"`config.model` must not have `dtype`: set `config.train.precision`. Received: {config.model.dtype!r}"
        )
    task = tasks.TASKS[config.task]
    known = list(model_fields.parameters(config.task))
    unknown = sorted(set(config.model) - set(known))
    if unknown:
        raise ValueError(
            f"`config.model` must hold arguments of {task.model_class.__name__} only, which are {', '.join(known)}. "
            f"Received: {', '.join(unknown)}{spelling.suggestion(unknown[0], known)}"
        )
    for name in ("vocabulary_size", "max_sequence_length"):
        if name not in config.model:
            raise ValueError(f"`config.model` must have `{name}`. Received: {', '.join(sorted(config.model))}")
    _check_model_values(config.task, configs.as_dict(config.model))
    _check_segments(config)
    longest = config.model.max_sequence_length
    field_checks.check(
        config,
        "train.sequence_length",
        f"must be from 1 to `config.model.max_sequence_length`, {longest}",
        lambda value: 1 <= value <= longest,
    )


def _check_model_values(task: str, arguments: dict[str, Any]) -> None:
    """Checks arguments that the model would refuse too, but only after the data is read."""
    values = {**model_fields.completed(task, arguments), **tasks.TASKS[task].fixed}
    try:
        model_arguments.check_values(values)
        model_arguments.check_used(values)
        kinds = attention_kinds.pattern(values["attention_layers"], values["num_layers"])
        attention_kinds.checked_options(values["attention_options"], kinds)
        attention_kinds.check_abilities(kinds, values)
        if values["num_buckets"] is not None:
            bucket_counts.bucket_factors(values["num_buckets"])
    except KeyError as error:
        raise ValueError(
            f"`config.model` must have `{error.args[0]}`. Received: {', '.join(sorted(arguments))}"
        ) from error
    except (ValueError, TypeError) as error:
        raise ValueError(f"`config.model` must hold what the model takes: {error}") from error


def _check_segments(config: ConfigDict) -> None:
    """Checks that the kinds of attention can tell documents apart, if they are asked to."""
    if segments.are_wanted(config.data):
        try:
            attention_kinds.check_segments(config.model.attention_layers)
        except ValueError as error:
            raise ValueError(f"`config.data.separate_documents` must be False with this model: {error}") from error


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
