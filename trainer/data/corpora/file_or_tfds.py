"""A source whose parts are files, or splits of a data set of TensorFlow Datasets, whichever the config names."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import ml_collections

from trainer import config as configs
from trainer.data.corpora import tfds_sets
from trainer.field_checks import check


def part_fields(config: Mapping[str, Any], what: str) -> tuple[str, str]:
    """Returns the names of the fields that say what to train on and what to validate on.

    Args:
        config: `config.data`.
        what: What the documents are, for the message.

    Raises:
        ValueError: If neither a file nor a data set is named, or both.
    """
    if bool(config["path"]) == bool(config["tfds_name"]):
        raise ValueError(
            f"config.data.path or config.data.tfds_name must be given for {what}, and not both. "
            f"Received: {config['path']!r} and {config['tfds_name']!r}"
        )
    return ("tfds_train_split", "tfds_validation_split") if config["tfds_name"] else ("path", "validation_path")


def check_fields(config: ml_collections.ConfigDict, what: str, of_files: Collection[str]) -> None:
    """Checks that the fields of a run are for what it names.

    Args:
        config: Config of a run.
        what: What the documents are.
        of_files: The fields that are for files only.

    Raises:
        ValueError: As `part_fields` does, and if a field is for the other one.
    """
    part_fields(config.data, what)
    is_data_set, defaults = bool(config.data.tfds_name), configs.default_data_config()
    rule = "for files" if is_data_set else "for data sets, `config.data.tfds_name`"
    for name in of_files if is_data_set else tfds_sets.FIELDS:
        check(config, f"data.{name}", f"must be {defaults[name]!r}: it is {rule}", defaults[name].__eq__)


def scored_field(
    config: Mapping[str, Any], fields: tuple[str, str], overrides: Collection[str], own: Collection[str]
) -> str:
    """Returns the field of what is scored as a whole; empty for the validation part of the corpus.

    Args:
        config: `config.data`.
        fields: What `part_fields` returned.
        overrides: Names of the fields that were set anew, instead of the run's.
        own: Names of other fields that decide what is read.

    Raises:
        ValueError: If both parts were set anew.
    """
    train, validation = fields
    if {*fields} <= {*overrides}:
        raise ValueError(
            f"config.data.{train} and config.data.{validation} must not both be given to say what is "
            f"scored. Received: {config[train]!r} and {config[validation]!r}"
        )
    if "validation_fraction" in overrides:
        return ""
    anew = {"name", "tfds_name", train, *own} & {*overrides}
    if config[validation] and (validation in overrides or not anew):
        return validation
    return train if anew else ""
