"""Labelled texts, single or in pairs: `config.data.name = "labelled_text"`.

They come from a file, `config.data.path`, see `labelled_files`, or from a data set, `config.data.tfds_name`, see
`labelled_tfds`.
"""

from __future__ import annotations

from collections.abc import Collection

import ml_collections

from trainer.data.corpora import file_or_tfds, labelled_files, tfds_sets
from trainer.data.corpora.corpus import Corpus, Scored, validation_part
from trainer.data.corpora.labelled_rows import LabelledRows
from trainer.data.corpora.labelled_tfds import LabelledTfds

_WHAT = "labelled text"
_KEYS = ("text_key", "pair_key", "label_key")
_OF_FILES = ("path", "validation_path")
FIELDS = (*_KEYS, *_OF_FILES, *tfds_sets.FIELDS, "validation_fraction")


def load(config: ml_collections.ConfigDict) -> Corpus:
    """Loads labelled texts.

    The validation part is `validation_path`, or `tfds_validation_split` of a data set, if that is set. Otherwise it is
    `validation_fraction` of the texts of each label, the same ones at each call.

    Args:
        config: `config.data`, with `path`, `validation_path`, or `tfds_name` and the fields of a data set; `text_key`,
            `pair_key`, `label_key`, `labels`, `validation_fraction`.

    Returns:
        The corpus, of `LabelledDocuments`. Without `labels`, these are the names that a data set has, or the labels
        found in the training part: sorted, integers by value.

    Raises:
        ValueError: If something cannot be read, or a label is not one of the labels.
    """
    reader = _Reader(config)
    train = reader.read(reader.train)
    name = reader.title(reader.train)
    if config[reader.validation]:
        validation = reader.read(reader.validation)
        note = f"To validate on: {reader.title(reader.validation)}."
    else:
        train, validation = train.split(config.validation_fraction)
        note = f"To validate on: {len(validation):,} of the texts, a fraction of each label."
        if not len(validation):
            raise ValueError(
                f"config.data.{reader.validation} must be given where no label has two different texts. "
                f"Received: {len(train)} text(s) in {name}"
            )
    names = reader.names or train.names()
    notes = (*_empty_note(train, name), *_empty_note(validation, "what is for validation"), note)
    return Corpus(name, train.numbered(names), validation.numbered(names), notes)


def scored(config: ml_collections.ConfigDict, overrides: Collection[str]) -> Scored:
    """Loads the texts to score: all of the file or split that `overrides` name, else the validation part.

    Args:
        config: As for `load`, with the `labels` of the run.
        overrides: Names of the fields that were set anew, instead of the run's.

    Raises:
        ValueError: As `load` does, and if `overrides` name both parts.
    """
    reader = _Reader(config)
    field = file_or_tfds.scored_field(config, (reader.train, reader.validation), overrides, _KEYS)
    if not field:
        return validation_part(load(config))
    rows, title = reader.read(field), reader.title(field)
    is_validation = field == reader.validation and field not in overrides
    label = f"the validation documents {title}" if is_validation else f"all of {title}"
    return Scored(label, rows.numbered(reader.names or rows.names()), is_validation, _empty_note(rows, title))


def check_fields(config: ml_collections.ConfigDict) -> None:
    """Checks the fields of a run that only this source has rules for.

    Raises:
        ValueError: If neither a file nor a data set is named, or both, or a field is for the other one.
    """
    file_or_tfds.check_fields(config, _WHAT, _OF_FILES)


class _Reader:
    """Reads files or splits, whichever the config names.

    Attributes:
        train: The field that names what to train on.
        validation: The field that names what to validate on.
        names: The labels; empty if they are those that are found.
    """

    def __init__(self, config: ml_collections.ConfigDict):
        self.train, self.validation = file_or_tfds.part_fields(config, _WHAT)
        self._config = config
        self._data_set = LabelledTfds(config) if config.tfds_name else None
        known = self._data_set.names if self._data_set else ()
        self.names: tuple[str, ...] = tuple(config.labels) or known
        if known and {*self.names} != {*known}:
            raise ValueError(
                f"config.data.labels must be those of the data set, {', '.join(map(repr, known))}, in any order. "
                f"Received: {self.names!r}"
            )

    def read(self, field: str) -> LabelledRows:
        if self._data_set:
            return self._data_set.read(field)
        keys = (self._config[name] for name in _KEYS)
        return labelled_files.read(f"config.data.{field}", self._config[field], *keys)

    def title(self, field: str) -> str:
        return f"{self._data_set.title} {self._config[field]}" if self._data_set else self._config[field]


def _empty_note(rows: LabelledRows, name: str) -> tuple[str, ...]:
    empty = sum(not text for texts in (rows.texts, rows.pairs or ()) for text in texts)
    return (f"Of the texts of {name}, {empty:,} are empty: the model sees a boundary alone.",) if empty else ()
