"""Data sets of TensorFlow Datasets: found, prepared and read by the fields of `config.data`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ml_collections

FIELDS = ("tfds_name", "tfds_train_split", "tfds_validation_split", "tfds_download", "data_dir")
"""Fields of `config.data` that say which data set is read, and where it is."""


def known(config: ml_collections.ConfigDict) -> Any:
    """Returns the builder of the data set that `config.data.tfds_name` names, which may not be prepared yet.

    Raises:
        ValueError: If TFDS knows no such data set.
    """
    if not config.tfds_name:
        raise ValueError(f"config.data.tfds_name must name a TFDS data set. Received: {config.tfds_name!r}")
    import tensorflow_datasets as tfds  # takes seconds to import: only where it is needed

    try:
        return tfds.builder(config.tfds_name, data_dir=config.data_dir or None)
    except (tfds.core.DatasetNotFoundError, ValueError) as error:  # ValueError: not the form of a name
        raise ValueError(
            f"config.data.tfds_name must name a data set that TFDS knows. Received: {config.tfds_name!r}"
        ) from error


def check_text(builder: Any, field: str, key: str) -> None:
    """Checks that a field of the config names a feature that is text.

    Raises:
        ValueError: If it does not.
    """
    import tensorflow as tf

    texts = [name for name, spec in builder.info.features.get_tensor_info().items() if is_scalar(spec, tf.string)]
    if key not in texts:
        raise ValueError(
            f"config.data.{field} must name a text feature, one of: {', '.join(texts) or '(none)'}. Received: {key!r}"
        )


def is_scalar(spec: Any, *dtypes: Any) -> bool:
    """Whether a feature is one value of one of some types."""
    return getattr(spec, "shape", None) == () and getattr(spec, "tf_dtype", None) in dtypes


def prepare(builder: Any, config: ml_collections.ConfigDict) -> None:
    """Prepares a data set if it is not there, unless `config.data.tfds_download` is False.

    Raises:
        ValueError: If it is not there then.
    """
    if config.tfds_download:
        builder.download_and_prepare()
    elif not builder.info.splits:
        raise ValueError(
            "config.data.tfds_download=False needs a data set that is prepared in config.data.data_dir. "
            f"Received: {config.tfds_name!r}, which is not in {str(builder.data_dir)!r}"
        )


def examples(
    builder: Any, config: ml_collections.ConfigDict, field: str, keys: Sequence[str]
) -> Iterator[Mapping[str, Any]]:
    """Reads some features of a split, always in the same order.

    Args:
        builder: A prepared data set.
        config: `config.data`.
        field: The field of the config that names the split.
        keys: The features.

    Raises:
        ValueError: If there is no such split.
    """
    import tensorflow_datasets as tfds

    decoders = None
    # Of classes derived from it, such as the features of translations, TFDS decodes all or nothing.
    if type(builder.info.features) is tfds.features.FeaturesDict:
        decoders = tfds.decode.PartialDecoding(dict.fromkeys(keys, True))
    try:
        dataset = builder.as_dataset(
            split=config[field],
            shuffle_files=False,
            read_config=tfds.ReadConfig(interleave_cycle_length=1),  # file after file: the same order every time
            decoders=decoders,
        )
    except (ValueError, KeyError, AssertionError) as error:
        raise ValueError(
            f"config.data.{field} must be a split of {builder.info.full_name}, which has "
            f"{', '.join(builder.info.splits)}. Received: {config[field]!r}"
        ) from error
    return iter(tfds.as_numpy(dataset))
