"""Reads labelled texts from a data set of TensorFlow Datasets."""

from __future__ import annotations

from typing import Any

import ml_collections

from trainer.data.corpora import tfds_sets
from trainer.data.corpora.labelled_rows import LabelledRows


class LabelledTfds:
    """A data set whose features `config.data.text_key`, `pair_key` and `label_key` name texts and labels.

    Labels may be classes, whose names the data set has, integers, or strings.

    Args:
        config: `config.data`.

    Attributes:
        names: Names of the classes in their order; empty if the labels are no classes.
        title: Name of the data set with its version.

    Raises:
        ValueError: If the data set or a feature is not there.
    """

    def __init__(self, config: ml_collections.ConfigDict):
        self._config = config
        self._builder = tfds_sets.known(config)
        self._keys = [field for field in ("text_key", "pair_key") if field == "text_key" or config[field]]
        for field in self._keys:
            tfds_sets.check_text(self._builder, field, config[field])
        feature = _label_feature(self._builder.info.features, config.label_key)
        self.names: tuple[str, ...] = tuple(getattr(feature, "names", None) or ())
        tfds_sets.prepare(self._builder, config)
        self.title: str = self._builder.info.full_name

    def read(self, field: str) -> LabelledRows:
        """Reads the split that a field of the config names.

        Raises:
            ValueError: If there is no such split, it is empty, or a label is none.
        """
        config, split = self._config, self._config[field]
        keys = [config[name] for name in self._keys]
        texts: list[list[bytes]] = [[] for _ in keys]
        labels: list[str] = []
        for index, example in enumerate(tfds_sets.examples(self._builder, config, field, [*keys, config.label_key])):
            for key, found in zip(keys, texts, strict=True):
                found.append(bytes(example[key]))
            labels.append(self._label(example[config.label_key], f"example {index} of {self.title} {split}"))
        if not labels:
            raise ValueError(f"config.data.{field} must hold labelled texts. Received: {split!r}, which has none")
        pairs = texts[1] if config.pair_key else None
        return LabelledRows(texts[0], pairs, labels, lambda index: f"example {index} of {self.title} {split}")

    def _label(self, value: Any, where: str) -> str:
        if isinstance(value, bytes):
            try:
                name = value.decode("utf-8")
            except UnicodeDecodeError:
                name = ""
            if not name:
                raise ValueError(f"A label must be UTF-8 text, not empty. Received: {value!r} in {where}")
            return name
        number = int(value)
        if not self.names:
            return str(number)
        if not 0 <= number < len(self.names):  # TFDS has -1 for what has no label.
            raise ValueError(
                f"A label must be from 0 to {len(self.names) - 1}, of {', '.join(self.names)}. "
                f"Received: {number} in {where}"
            )
        return self.names[number]


def _label_feature(features: Any, key: str) -> Any:
    import tensorflow as tf

    infos = features.get_tensor_info()
    fits = [name for name, spec in infos.items() if tfds_sets.is_scalar(spec, tf.string, tf.int32, tf.int64, tf.uint8)]
    if key not in fits:
        raise ValueError(
            "config.data.label_key must name a feature of one integer or string, one of: "
            f"{', '.join(fits) or '(none)'}. Received: {key!r}"
        )
    return features[key]
