"""Pairs of texts, such as translations: `config.data.name = "pairs"`.

They come from a file or folder, `config.data.path`, see `pair_files`, or from a data set, `config.data.tfds_name`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection

import ml_collections

from trainer.data.corpora import file_or_tfds, labelled_split, pair_files, tfds_sets
from trainer.data.corpora.corpus import Corpus, Scored, validation_part
from trainer.data.corpora.found_pairs import FoundPairs
from trainer.data.pair_documents import PairDocuments
from trainer.field_checks import check

_WHAT = "pairs of texts"
_OF_FILES = ("path", "validation_path", "pattern")
FIELDS = (*pair_files.KEYS, *_OF_FILES, *tfds_sets.FIELDS, "validation_fraction")


def load(config: ml_collections.ConfigDict) -> Corpus:
    """Loads pairs of texts.

    The validation part is `validation_path`, or `tfds_validation_split` of a data set, if that is set. Otherwise it is
    `validation_fraction` of the pairs, chosen by a hash of their sources: the same ones at each call, and none whose
    source is trained on.

    Args:
        config: `config.data`, with `FIELDS`.

    Returns:
        The corpus, of `PairDocuments`. Its notes say what was taken and left out.

    Raises:
        ValueError: If something cannot be read, or there is nothing to validate on.
    """
    reader = _Reader(config)
    train, note = reader.read(reader.train)
    if config[reader.validation]:
        separate, more = reader.read(reader.validation)
        reader.check_keys(train, separate)
        notes = (note, f"To validate on: {more}", *_overlap(train, separate))
        return Corpus(reader.title(reader.train), _documents(train), _documents(separate), notes)
    reader.check_keys(train)
    keys = [hashlib.sha256(source).digest() for source, _ in train.pairs]
    chosen = labelled_split.choose(keys, [""] * len(keys), config.validation_fraction)
    if not chosen:
        raise ValueError(
            f"config.data.{reader.validation} must be given where there are no two different sources. "
            f"Received: {len(keys)} pair(s) in {reader.title(reader.train)}"
        )
    held_out = {*chosen}
    validation = PairDocuments.from_pairs(train.pairs[index] for index in chosen)
    rest = PairDocuments.from_pairs(pair for index, pair in enumerate(train.pairs) if index not in held_out)
    split = f"To validate on: {len(chosen):,} of the pairs, by a hash of their sources."
    return Corpus(reader.title(reader.train), rest, validation, (note, split))


def scored(config: ml_collections.ConfigDict, overrides: Collection[str]) -> Scored:
    """Loads the pairs to score: all of the file, folder or split that `overrides` name, else the validation part.

    Args:
        config: As for `load`.
        overrides: Names of the fields that were set anew, instead of the run's.

    Raises:
        ValueError: As `load` does, and if `overrides` name both parts.
    """
    reader = _Reader(config)
    own = (*pair_files.KEYS, "pattern")
    field = file_or_tfds.scored_field(config, (reader.train, reader.validation), overrides, own)
    if not field:
        return validation_part(load(config))
    found, note = reader.read(field)
    is_validation = field == reader.validation and field not in overrides
    title = reader.title(field)
    return Scored(
        f"the validation documents {title}" if is_validation else f"all of {title}",
        _documents(found),
        is_validation,
        (note,),
    )


def check_fields(config: ml_collections.ConfigDict) -> None:
    """Checks the fields of a run that only this source has rules for.

    Raises:
        ValueError: If neither a file nor a data set is named, or both, or a field is for the other one.
    """
    file_or_tfds.check_fields(config, _WHAT, _OF_FILES)
    _check_keys(config.data)
    for key in pair_files.KEYS:
        check(config, f"data.{key}", "must not be empty", bool)


class _Reader:
    """Reads files or splits, whichever the config names.

    Attributes:
        train: The field that names what to train on.
        validation: The field that names what to validate on.
    """

    def __init__(self, config: ml_collections.ConfigDict):
        self._config = config
        self.train, self.validation = file_or_tfds.part_fields(config, _WHAT)
        _check_keys(config)
        self._builder = None
        if config.tfds_name:
            self._builder = tfds_sets.known(config)
            for key in pair_files.KEYS:
                tfds_sets.check_text(self._builder, key, config[key])
            tfds_sets.prepare(self._builder, config)

    def title(self, field: str) -> str:
        split = self._config[field]
        return split if self._builder is None else f"{self._builder.info.full_name} {split}"

    def read(self, field: str) -> tuple[FoundPairs, str]:
        """The pairs of a part, and what was taken and left out."""
        if self._builder is None:
            return pair_files.read(self._config, field)
        keys = [self._config[key] for key in pair_files.KEYS]
        found = FoundPairs()
        for example in tfds_sets.examples(self._builder, self._config, field, keys):
            found.add(*(bytes(example[key]) for key in keys))
        if not found.pairs:
            raise ValueError(
                f"config.data.{field} must hold pairs of texts. Received: {self._config[field]!r}, {found.summary()}"
            )
        return found, f"{self.title(field)}: {found.summary()}."

    def check_keys(self, *parts: FoundPairs) -> None:
        """Checks that keys which are set are read in files."""
        if self._builder is None:
            pair_files.check_keys(self._config, parts)


def _check_keys(data: ml_collections.ConfigDict) -> None:
    if data.source_key == data.target_key:
        raise ValueError(
            "config.data.target_key must be another key than config.data.source_key. "
            f"Received: {data.target_key!r} for both"
        )


def _documents(found: FoundPairs) -> PairDocuments:
    return PairDocuments.from_pairs(found.pairs)


def _overlap(train: FoundPairs, validation: FoundPairs) -> tuple[str, ...]:
    """Says how many pairs to validate on have a source that is trained on."""
    known = {source for source, _ in train.pairs}
    count = sum(source in known for source, _ in validation.pairs)
    return (f"Of the pairs to validate on, {count:,} have a source that is also trained on.",) if count else ()
