"""Checks of `config.data`: the source of documents and its fields."""

import functools
import operator
from typing import Any

from ml_collections import ConfigDict

from reformer_tf import local_paths
from trainer import config as configs
from trainer import field_checks, tasks
from trainer.data import corpora

_OF_TEXT = {"tokens": "bytes", "sentencepiece_model": "", "separate_documents": False}  # Ids have no boundary.
_PATHS = ("path", "validation_path", "sentencepiece_model", "data_dir")


def check_paths(data: ConfigDict) -> None:
    """Checks that paths are ones of this machine's file system.

    Args:
        data: `config.data`.

    Raises:
        ValueError: If one is not.
    """
    for name in _PATHS:
        # TensorFlow Datasets reads and writes buckets of Google Cloud itself.
        is_bucket = _reads_data_set(data) and name == "data_dir" and data[name].startswith("gs://")
        if data[name] and not is_bucket:
            local_paths.checked(f"`config.data.{name}`", data[name])


def check(config: ConfigDict) -> None:
    """Checks that the source is there and fits the task, and the fields that all sources have in common.

    Args:
        config: Config of a run, with one of the tasks.

    Raises:
        ValueError: If a field breaks a rule.
    """
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


def check_source(config: ConfigDict) -> None:
    """Checks the rules that only the source of the run has.

    Raises:
        ValueError: If a field breaks one.
    """
    source = corpora.SOURCES[config.data.name]
    if source.check is not None:
        source.check(config)


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


def _check_labels(config: ConfigDict) -> None:
    labels, has_labels = config.data.labels, corpora.SOURCES[config.data.name].has_labels
    rule = "must be empty unless `config.data.name` is a source with labels"
    field_checks.check(config, "data.labels", rule, lambda _: not labels or has_labels)
    rule = "must be different strings, none empty"
    are_names = all(isinstance(label, str) and label for label in labels) and len({*labels}) == len(labels)
    field_checks.check(config, "data.labels", rule, lambda _: are_names)


def _reads_data_set(data: ConfigDict) -> bool:
    return data.name == "tfds" or (data.name == "labelled_text" and data.tfds_name != "")
