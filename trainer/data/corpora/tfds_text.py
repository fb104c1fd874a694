"""Text from a TensorFlow Datasets data set: `config.data.name = "tfds"`, `config.data.tfds_name`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import ml_collections

from trainer.data.corpora import tfds_sets, validation
from trainer.data.corpora.corpus import Corpus, Scored, validation_part
from trainer.data.documents import Documents

FIELDS = (*tfds_sets.FIELDS, "tfds_text_key", "validation_fraction", "validation_rule")


def load(config: ml_collections.ConfigDict) -> Corpus:
    """Loads a text data set by its TFDS name; each example is a document. All of it is held in memory.

    Args:
        config: `config.data`, with `tfds_name`, `tfds_text_key`, `tfds_train_split`, `tfds_validation_split`,
            `tfds_download`, `data_dir`, `validation_fraction`, `validation_rule`.

    Returns:
        The corpus; documents in the order in which TFDS stores them.

    Raises:
        ValueError: if the name, the feature or a split does not exist, or if a split holds no text.
    """
    builder = _builder(config)
    train = _read(builder, config, "tfds_train_split")
    name = f"{builder.info.full_name} {config.tfds_train_split}"
    if config.tfds_validation_split:
        separate = _read(builder, config, "tfds_validation_split")
        return Corpus(name, Documents(train), Documents(separate))
    if len(train) < 2:
        raise ValueError(
            "config.data.tfds_validation_split must be given where the train split has a single document. "
            f"Received: {config.tfds_validation_split!r}"
        )
    return validation.split(name, [str(i) for i in range(len(train))], train, config)


def scored(config: ml_collections.ConfigDict, overrides: Collection[str]) -> Scored:
    """Loads the documents to score: the split that `overrides` name, else the validation split if there is one.

    Args:
        config: as for `load`.
        overrides: names of the fields that were set anew, instead of the run's.
    """
    if {"tfds_train_split", "tfds_validation_split"} <= {*overrides}:
        raise ValueError(
            "config.data.tfds_train_split and config.data.tfds_validation_split must not both be given to say what is "
            f"scored. Received: {config.tfds_train_split!r} and {config.tfds_validation_split!r}"
        )
    if not {"validation_fraction", "validation_rule"} & {*overrides}:
        if config.tfds_validation_split and "tfds_train_split" not in overrides:
            return _scored_split(
                config, "tfds_validation_split", is_validation="tfds_validation_split" not in overrides
            )
        if {"name", "tfds_name", "tfds_text_key", "tfds_train_split"} & {*overrides}:
            return _scored_split(config, "tfds_train_split", is_validation=False)
    return validation_part(load(config))


def _scored_split(config: ml_collections.ConfigDict, field: str, is_validation: bool) -> Scored:
    builder = _builder(config)
    documents = _read(builder, config, field)
    name = f"{builder.info.full_name} {config[field]}"
    label = f"the validation documents {name}" if is_validation else f"all of {name}"
    return Scored(label, Documents(documents), is_validation)


def _builder(config: ml_collections.ConfigDict) -> Any:
    builder = tfds_sets.known(config)
    tfds_sets.check_text(builder, "tfds_text_key", config.tfds_text_key)
    tfds_sets.prepare(builder, config)
    return builder


def _read(builder: Any, config: ml_collections.ConfigDict, field: str) -> list[bytes]:
    key = config.tfds_text_key
    documents = [bytes(example[key]) for example in tfds_sets.examples(builder, config, field, [key])]
    documents = [document for document in documents if document]
    if not documents:
        raise ValueError(f"config.data.{field} must hold text. Received: {config[field]!r}, which has none")
    return documents
