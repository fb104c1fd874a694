"""Checks that sources of generated data have in common."""

from collections.abc import Mapping

import ml_collections

from trainer.field_checks import check


def check_counts(config: ml_collections.ConfigDict) -> None:
    """Checks the numbers of examples and the seed.

    Args:
        config: Config of a run.

    Raises:
        ValueError: If one is out of its range.
    """
    check_least(config, {"examples": 1, "validation_examples": 1})
    check(config, "data.seed", "must not be negative", lambda value: value >= 0)


def check_least(config: ml_collections.ConfigDict, least: Mapping[str, int]) -> None:
    """Checks fields of `config.data` that have a smallest value.

    Raises:
        ValueError: If one is below it.
    """
    for name, value in least.items():
        check(config, f"data.{name}", f"must be at least {value}", value.__le__)


def check_model(config: ml_collections.ConfigDict, longest: int, ids: int, labels: tuple[str, ...]) -> None:
    """Checks that a model reads whole examples and knows their ids and labels, before any example is made.

    Args:
        config: Config of a run.
        longest: Number of ids of the longest example.
        ids: Number of different ids.
        labels: The labels.

    Raises:
        ValueError: If it does not.
    """
    name = config.data.name
    rule = f"must be at least {longest}, the longest example of `config.data.name`, {name!r}"
    check(config, "train.sequence_length", rule, longest.__le__)
    check(config, "model.vocabulary_size", f"must be at least {ids}, the ids of {name!r}", ids.__le__)
    if config.model.get("num_classes") is not None:  # Without, the task refuses it.
        rule = f"must be {len(labels)}, the number of labels of {name!r}"
        check(config, "model.num_classes", rule, len(labels).__eq__)
    check(config, "data.labels", f"must be empty or {labels!r}", lambda value: tuple(value) in ((), labels))
