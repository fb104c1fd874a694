"""Text from a TensorFlow Datasets data set: `config.data.name = "tfds"`, `config.data.tfds_name`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import ml_collections

from trainer.data.corpora import validation
from trainer.data.corpora.corpus import Corpus, Scored, validation_part
from trainer.data.documents import Documents


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
    train = _read(builder, config.tfds_train_split, "tfds_train_split", config.tfds_text_key)
    name = f"{builder.info.full_name} {config.tfds_train_split}"
    if config.tfds_validation_split:
        separate = _read(builder, config.tfds_validation_split, "tfds_validation_split", config.tfds_text_key)
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
    documents = _read(builder, config[field], field, config.tfds_text_key)
    name = f"{builder.info.full_name} {config[field]}"
    label = f"the validation documents {name}" if is_validation else f"all of {name}"
    return Scored(label, Documents(documents), is_validation)


def _builder(config: ml_collections.ConfigDict) -> Any:
    """The prepared data set."""
    if not config.tfds_name:
        raise ValueError(f"config.data.tfds_name must name a TFDS data set. Received: {config.tfds_name!r}")
    import tensorflow_datasets as tfds  # takes seconds to import: only where it is needed

    try:
        builder = tfds.builder(config.tfds_name, data_dir=config.data_dir or None)
    except (tfds.core.DatasetNotFoundError, ValueError) as error:  # ValueError: not the form of a name
        raise ValueError(
            f"config.data.tfds_name must name a data set that TFDS knows. Received: {config.tfds_name!r}"
        ) from error
    _check_feature(builder.info.features, config.tfds_text_key)
    if config.tfds_download:
        builder.download_and_prepare()
    elif not builder.info.splits:
        raise ValueError(
            "config.data.tfds_download=False needs a data set that is prepared in config.data.data_dir. "
            f"Received: {config.tfds_name!r}, which is not in {str(builder.data_dir)!r}"
        )
    return builder


def _check_feature(features: Any, key: str) -> None:
    import tensorflow as tf

    texts = [name for name, spec in features.get_tensor_info().items() if _is_text(spec, tf.string)]
    if key not in texts:
        raise ValueError(
            f"config.data.tfds_text_key must name a text feature, one of: {', '.join(texts) or '(none)'}. "
            f"Received: {key!r}"
        )


def _is_text(spec: Any, string: Any) -> bool:
    return getattr(spec, "shape", None) == () and getattr(spec, "tf_dtype", None) == string


def _read(builder: Any, split: str, field: str, key: str) -> list[bytes]:
    import tensorflow_datasets as tfds

    try:
        dataset = builder.as_dataset(
            split=split,
            shuffle_files=False,
            read_config=tfds.ReadConfig(interleave_cycle_length=1),  # file after file: the same order every time
            decoders=tfds.decode.PartialDecoding({key: True}),
        )
    except (ValueError, KeyError, AssertionError) as error:
        raise ValueError(
            f"config.data.{field} must be a split of {builder.info.full_name}, which has "
            f"{', '.join(builder.info.splits)}. Received: {split!r}"
        ) from error
    documents = [bytes(example[key]) for example in tfds.as_numpy(dataset)]
    documents = [document for document in documents if document]
    if not documents:
        raise ValueError(f"config.data.{field} must hold text. Received: {split!r}, which has none")
    return documents
