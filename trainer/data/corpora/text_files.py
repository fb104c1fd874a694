"""Text from a folder or a file: `config.data.name = "text"`, `config.data.path`."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import ml_collections

from reformer_tf import local_paths
from trainer.data.corpora import found_files, validation
from trainer.data.corpora.corpus import Corpus, Scored, chosen_path, validation_part
from trainer.data.corpora.found_files import FoundFiles
from trainer.data.documents import Documents

FIELDS = ("path", "pattern", "any_bytes", "validation_path", "validation_fraction", "validation_rule")
_ANY = "config.data.any_bytes=True takes files of any content"


def load(config: ml_collections.ConfigDict) -> Corpus:
    """Loads a folder (each file of text with at least one byte is a document) or one file.

    The validation part is `config.validation_path` if set. Otherwise `config.validation_rule` chooses it among the
    documents of `config.path`.

    Args:
        config: `config.data`, with `path`, `pattern`, `any_bytes`, `validation_path`, `validation_rule` and
            `validation_fraction`.

    Returns:
        The corpus; documents in the order of their paths. Its notes say what was taken and what was left out.

    Raises:
        ValueError: if a path is missing, not readable, or holds no text.
    """
    found = _read(config, "path")
    note = found.note(config.path)
    if config.validation_path:
        separate = _read(config, "validation_path")
        notes = (note, f"To validate on: {separate.note(config.validation_path)}")
        return Corpus(config.path, Documents(found.documents), Documents(separate.documents), notes)
    corpus = validation.split(config.path, found.names, found.documents, config, (note,))
    if not len(corpus.train):
        raise ValueError(
            "config.data.path must hold at least two bytes, to train on and to validate on. "
            f"Received: {config.path!r} with {len(found.documents[0])}"
        )
    return corpus


def scored(config: ml_collections.ConfigDict, overrides: Collection[str]) -> Scored:
    """Loads the documents to score: all of the folder or file that `overrides` name, else the validation documents.

    Args:
        config: as for `load`.
        overrides: names of the fields that were set anew, instead of the run's.
    """
    field = chosen_path(config, overrides, ("name", "path", "pattern", "any_bytes"))
    if field:
        is_validation = field == "validation_path" and field not in overrides
        return _scored_whole(config, field, is_validation)
    return validation_part(load(config))


def _read(config: ml_collections.ConfigDict, field: str) -> FoundFiles:
    """Reads the folder or file that a field of the config names.

    Raises:
        ValueError: if it is missing, not readable, or holds no text.
    """
    path, name = config[field], f"config.data.{field}"
    any_bytes = config.any_bytes or validation.resolve_rule(config) == validation.WHOLE_DOCUMENTS
    if not path:
        raise ValueError(f"{name} must name a folder or a file of text. Received: {path!r}")
    root = local_paths.checked(name, path)
    is_folder = found_files.is_folder(name, root)
    try:
        return _folder(root, config.pattern, any_bytes, name) if is_folder else _file(root, any_bytes, name)
    except OSError as error:
        raise ValueError(
            f"{name}: every file must be readable. Received: {error.filename!r} ({error.strerror})"
        ) from error


def _folder(root: Path, pattern: str, any_bytes: bool, name: str) -> FoundFiles:
    found = found_files.find(root, pattern, any_bytes)
    if found.documents:
        return found
    if not found.left_out:
        raise ValueError(
            f"{name} must name a folder with files that match config.data.pattern. "
            f"Received: {str(root)!r} with no file matching {pattern!r}"
        )
    hint = "" if set(found_files.BY_CONTENT).isdisjoint(found.left_out) else f" ({_ANY})"
    raise ValueError(
        f"{name} must name a folder with text{hint}. "
        f"Received: {str(root)!r}, of which everything is left out: {found.summary()}"
    )


def _file(file: Path, any_bytes: bool, name: str) -> FoundFiles:
    content, reason = found_files.read(file, any_bytes)
    if not reason:
        return FoundFiles([file.name], [content], {})
    rule = {
        found_files.EMPTY: "must name a file with at least one byte",
        found_files.NOT_READABLE: "must name a file that can be read",
        found_files.NOT_REGULAR: "must name a folder or a regular file",
    }.get(reason, f"must name a file of text; {_ANY}")
    raise ValueError(f"{name} {rule}. Received: {str(file)!r}, {reason}")


def _scored_whole(config: ml_collections.ConfigDict, field: str, is_validation: bool) -> Scored:
    found = _read(config, field)
    name = f"the validation documents {config[field]}" if is_validation else f"all of {config[field]}"
    return Scored(name, Documents(found.documents), is_validation, (found.note(config[field]),))
