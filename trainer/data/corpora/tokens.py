"""Ids that people made: `config.data.name = "tokens"`, `config.data.path`."""

from __future__ import annotations

import itertools
import stat
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import ml_collections
import numpy as np

from reformer_tf import local_paths
from trainer import config as configs
from trainer.data.corpora import found_files, id_files, validation
from trainer.data.corpora.corpus import Corpus, Scored, choose_validation, chosen_path, sorted_by_hash, validation_part
from trainer.data.corpora.id_files import IdFile
from trainer.data.id_documents import IdDocuments
from trainer.data.stored_ids import StoredArray, StoredIds
from trainer.field_checks import check

FIELDS = ("path", "pattern", "ids_dtype", "ids_feature", "validation_path", "validation_fraction", "validation_rule")

_OTHER_NAME = "no .npy, .bin or .tfrecord"


def load(config: ml_collections.ConfigDict) -> Corpus:
    """Loads the ids in a file, or in all files of a folder in the order of their paths.

    A `.npy` file with one axis and a `.bin` file are a document; each row of a `.npy` file with two axes is one, and
    each record of a TFRecord file.

    The validation part is `config.validation_path` if set. Otherwise it is `config.validation_fraction` of the ids: the
    ends of documents that are files, as `config.validation_rule` says, and whole rows and records, chosen by a hash.

    Args:
        config: `config.data`, with `path`, `pattern`, `ids_dtype`, `ids_feature`, `validation_path`, `validation_rule`
            and `validation_fraction`.

    Returns:
        The corpus; its notes say what was taken and left out.

    Raises:
        ValueError: if a path is missing or not readable, or holds anything but ids.
    """
    files, note = _read(config, "path")
    if config.validation_path:
        separate, separate_note = _read(config, "validation_path")
        _check_used(config, [*files, *separate])
        notes = (note, f"To validate on: {separate_note}")
        return Corpus(config.path, _documents(files), _documents(separate), notes)
    _check_used(config, files)
    ends = _choose_ends(files, config)
    train, held_out = _documents(files, ends, heads=True), _documents(files, ends, heads=False)
    if len(train.ids) < 2 or len(held_out.ids) < 2:
        raise ValueError(
            "config.data must leave at least two ids to train on and two to validate on: a larger "
            "config.data.validation_fraction, or a file of its own in config.data.validation_path. "
            f"Received: {len(train.ids):,} and {len(held_out.ids):,} ids with config.data.validation_fraction="
            f"{config.validation_fraction}"
        )
    return Corpus(config.path, train, held_out, (note, f"To validate on: {held_out.size}."))


def scored(config: ml_collections.ConfigDict, overrides: Collection[str]) -> Scored:
    """Loads the documents to score: all of the folder or file that `overrides` name, else the validation documents.

    Args:
        config: as for `load`.
        overrides: names of the fields that were set anew, instead of the run's.
    """
    field = chosen_path(config, overrides, ("name", "path", "pattern", "ids_dtype", "ids_feature"))
    if not field:
        return validation_part(load(config))
    files, note = _read(config, field)
    is_validation = field == "validation_path" and field not in overrides
    name = f"the validation documents {config[field]}" if is_validation else f"all of {config[field]}"
    return Scored(name, _documents(files), is_validation, (note,))


def check_fields(config: ml_collections.ConfigDict) -> None:
    """Checks the fields of a run that only this source has rules for.

    Raises:
        ValueError: if one breaks a rule.
    """
    check(config, "data.path", "must name a folder or a file of ids where `config.data.name` is 'tokens'", bool)
    rule = f"must be one of {', '.join(id_files.DTYPES)}, or empty where there are no .bin files"
    check(config, "data.ids_dtype", rule, lambda value: value in ("", *id_files.DTYPES))
    check(config, "data.ids_feature", "must not be empty", bool)


def _check_used(config: ml_collections.ConfigDict, files: Sequence[IdFile]) -> None:
    """Checks that there are files of the kinds that fields are about."""
    defaults = configs.default_data_config()
    kinds = (("ids_dtype", id_files.is_bin, "bin"), ("ids_feature", id_files.is_tfrecord, "tfrecord"))
    for field, is_of_kind, ending in kinds:
        if config[field] != defaults[field] and not any(is_of_kind(file.name) for file in files):
            raise ValueError(
                f"config.data.{field} must be {defaults[field]!r} where no file ends in .{ending}. "
                f"Received: {config[field]!r}"
            )


def _read(config: ml_collections.ConfigDict, field: str) -> tuple[list[IdFile], str]:
    """Opens the files that a field of the config names; also describes them for people."""
    path, name = config[field], f"config.data.{field}"
    root = local_paths.checked(name, path)
    try:
        is_folder = stat.S_ISDIR(root.stat().st_mode)
        left_out: dict[str, list[str]] = {}
        names = [root.name]
        if is_folder:
            found = sorted(found_files.list_names(root, config.pattern, (), left_out))
            names = [file for file in found if id_files.is_known(file)]
            others = [file for file in found if not id_files.is_known(file)]
            left_out |= {_OTHER_NAME: others} if others else {}
        files = [_open(root / file if is_folder else root, file, config, name) for file in names]
    except OSError as error:
        raise ValueError(
            f"{name}: the folder or file, and every file in it, must be readable. "
            f"Received: {error.filename or path!r} ({error.strerror})"
        ) from error
    described = found_files.FoundFiles(names, [], left_out)
    if not files:
        raise ValueError(
            f"{name} must name a folder with files of ids (.npy, .bin, .tfrecord) that match config.data.pattern. "
            f"Received: {path!r} with none that matches {config.pattern!r}. Left out: {described.summary() or 'none'}"
        )
    count = sum(len(file.sizes) for file in files)
    rest = f" Left out: {described.summary()}." if left_out else ""
    return files, f"{path}: {count:,} document(s) in {len(names):,} file(s): {found_files.shown(names)}.{rest}"


def _open(path: Path, name: str, config: ml_collections.ConfigDict, field: str) -> IdFile:
    try:
        return id_files.read(path, name, config.ids_dtype, config.ids_feature)
    except ValueError as error:
        raise ValueError(f"{field} must name {error}") from error


def _choose_ends(files: Sequence[IdFile], config: ml_collections.ConfigDict) -> dict[int, int]:
    """Number of ids at the end of each document that are for validation, by index of the document; all or some."""
    names = [f"{file.name}:{index}" for file in files for index in range(len(file.sizes))]
    sizes = np.concatenate([file.sizes for file in files]).tolist()
    fraction = config["validation_fraction"]
    may_cut = len(sizes) == 1 or validation.resolve_rule(config) == validation.DOCUMENTS_AND_ENDS
    is_cut = [file.is_one and may_cut for file in files for _ in file.sizes]
    long = [index for index, can in enumerate(is_cut) if can]
    others = [index for index, can in enumerate(is_cut) if not can]
    by_hash = sorted_by_hash([names[index] for index in long])
    ends = validation.choose_ends([sizes[index] for index in long], by_hash, fraction)
    chosen = {long[at]: end for at, end in ends.items()}
    if len(others) > 1:
        whole = choose_validation([names[index] for index in others], [sizes[index] for index in others], fraction)
        chosen |= {others[at]: sizes[others[at]] for at in whole}
    return chosen


def _documents(files: Sequence[IdFile], ends: Mapping[int, int] | None = None, heads: bool = True) -> IdDocuments:
    """Makes documents of files, without copying ids.

    Args:
        files: the files.
        ends: number of ids to cut off at the end of documents, by their index.
        heads: whether to take what is before the cuts, or what is after them.
    """
    ends = ends or {}
    arrays, all_sizes = [], []
    number = itertools.count()
    for file in files:
        stored, starts = StoredArray(file.ids, file.name), np.cumsum(file.sizes) - file.sizes
        tails = np.array([ends.get(next(number), 0) for _ in range(len(file.sizes))], np.int64)
        begins = starts if heads else starts + file.sizes - tails
        sizes = file.sizes - tails if heads else tails
        begins, sizes = begins[sizes > 0], sizes[sizes > 0]
        all_sizes.append(sizes)
        # Documents that follow one another are one array.
        apart = np.flatnonzero(begins[1:] != (begins + sizes)[:-1]) + 1
        for group in np.split(np.arange(len(sizes)), apart) if len(sizes) else ():
            arrays.append(stored.cut(int(begins[group[0]]), int(begins[group[-1]] + sizes[group[-1]])))
    offsets = np.cumsum(np.concatenate([np.zeros(1, np.int64), *all_sizes]))
    return IdDocuments(StoredIds(arrays), offsets)
