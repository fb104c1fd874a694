"""Checks of `config.data`: the source of documents and its fields."""

import functools
import operator

from ml_collections import ConfigDict

from reformer_tf import local_paths
from trainer import config as configs
from trainer import field_checks, tasks
from trainer.data import corpora, labelled_documents
from trainer.distribution import tpu

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
        if config.strategy == "tpu":
            rule = f"must be {tpu.LOCAL!r} where {config.data.name!r} gives ids: this machine alone can read them"
            field_checks.check(config, "tpu_address", rule, tpu.LOCAL.__eq__)
    _check_labels(config)
    _check_pairs(config)
    longest = max(config.train.sequence_length, config.data.source_length)
    name = "train.sequence_length" if longest == config.train.sequence_length else "data.source_length"
    buckets = (0, *config.data.length_buckets)
    rule = f"must be positive integers in ascending order, none above `config.{name}`, {longest}"
    ascending = all(isinstance(bucket, int) for bucket in buckets) and list(buckets) == sorted({*buckets})
    field_checks.check(config, "data.length_buckets", rule, lambda _: ascending and buckets[-1] <= longest)
    rule = "must be empty unless `config.data.layout` is 'padded'"
    field_checks.check(config, "data.length_buckets", rule, lambda value: not value or config.data.layout == "padded")
    rule = "must be False unless `config.data.length_buckets` are set, by which batches of short examples are shorter"
    field_checks.check(config, "data.group_by_length", rule, lambda value: not value or config.data.length_buckets)


def check_source(config: ConfigDict) -> None:
    """Checks the rules that only the source of the run has.

    Raises:
        ValueError: If a field breaks one.
    """
    source = corpora.SOURCES[config.data.name]
    if source.check is not None:
        source.check(config)


def unused_fields(config: ConfigDict) -> dict[str, str]:
    """Finds fields that the source of documents does not read and that are not at their defaults.

    They are no errors of `check_config`, because a run may be evaluated on another source than its own, and because
    runs that began when they were not refused go on.

    Args:
        config: Config of a run that keeps the rules of `check_config`.

    Returns:
        What is to be said about each field of `config.data`, by its name.
    """
    data, defaults = config.data, configs.default_data_config()
    fields = corpora.SOURCES[data.name].fields
    if fields is None:
        return {}
    found = {}
    for name in sorted({*defaults} - {*corpora.SHARED, *fields}):
        if data[name] != defaults[name]:
            readers = [repr(reader) for reader, source in corpora.SOURCES.items() if name in (source.fields or ())]
            found[name] = (
                f"`config.data.{name}` must be {defaults[name]!r} where `config.data.name` is {data.name!r}: "
                f"it is for {' or '.join(readers)}. Received: {data[name]!r}"
            )
    return found


def _check_labels(config: ConfigDict) -> None:
    labels, has_labels = config.data.labels, corpora.SOURCES[config.data.name].has_labels
    rule = "must be empty unless `config.data.name` is a source with labels"
    field_checks.check(config, "data.labels", rule, lambda _: not labels or has_labels)
    field_checks.check(config, "data.labels", "must be different strings, none empty", labelled_documents.are_names)


def _check_pairs(config: ConfigDict) -> None:
    has_pairs = corpora.SOURCES[config.data.name].contents == corpora.TEXT_PAIRS
    field_checks.check(config, "data.source_length", "must not be negative", lambda value: value >= 0)
    rule = f"must be 0 unless `config.data.name` is a source of {corpora.TEXT_PAIRS}"
    field_checks.check(config, "data.source_length", rule, lambda value: not value or has_pairs)


def _reads_data_set(data: ConfigDict) -> bool:
    return data.name == "tfds" or (data.name in ("labelled_text", "pairs") and data.tfds_name != "")
