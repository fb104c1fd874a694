"""Reads pairs of texts from a file or a folder: records (`.jsonl`, `.csv`, `.tsv`) and catalogues (`.po`, `.mo`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reformer_tf import local_paths
from trainer import config as configs
from trainer.data.corpora import found_files, gettext_catalogs, record_files
from trainer.data.corpora.found_pairs import FoundPairs

SUFFIXES = (*record_files.SUFFIXES, *gettext_catalogs.SUFFIXES)
KEYS = ("source_key", "target_key")
_OTHER_NAME = f"no {', '.join(SUFFIXES)}"


def read(config: Mapping[str, Any], field: str) -> tuple[FoundPairs, str]:
    """Reads the pairs that a field of the config names.

    Args:
        config: `config.data`, with `pattern`, `source_key`, `target_key` and the field.
        field: The field that names a file, or a folder, of which all files are read that match `pattern`.

    Returns:
        The pairs in the order of the files' paths, and what was taken and left out, for people.

    Raises:
        ValueError: If a file cannot be read, breaks a rule, or there is no pair.
    """
    path, name = config[field], f"config.data.{field}"
    root = local_paths.checked(name, path)
    is_folder, found, left_out = found_files.is_folder(name, root), FoundPairs(), dict[str, list[str]]()
    try:
        files = _list(root, config["pattern"], left_out) if is_folder else [root]
        taken = [file for file in files if _read_file(root, file, config, name, found, left_out)]
    except OSError as error:
        raise ValueError(
            f"{name} must name a file or a folder that can be read. "
            f"Received: {str(error.filename or path)!r} ({error.strerror})"
        ) from error
    described = found_files.FoundFiles([_relative(file, root) for file in taken], [], dict(sorted(left_out.items())))
    rest = f" Files left out: {described.summary()}." if left_out else ""
    names = found_files.shown(described.names) or "none"
    note = f"{path}: {len(taken):,} file(s), {names}, with {found.summary()}.{rest}"
    if not found.pairs:
        raise ValueError(f"{name} must name a file or a folder with at least one pair of texts. Received: {note}")
    return found, note


def read_records_or_catalog(file: Path, content: bytes, source_key: str, target_key: str, found: FoundPairs) -> None:
    """Reads the content of one file, which ends in one of `SUFFIXES`.

    Args:
        file: The file.
        content: What it holds.
        source_key: Key or column of the sources, where it has such.
        target_key: That of the targets.
        found: Takes the pairs.

    Raises:
        ValueError: If a line breaks a rule; the message names file and line.
    """
    if file.suffix in gettext_catalogs.SUFFIXES:
        gettext_catalogs.read(file, content, found)
    else:
        found.has_keys = True
        for record in record_files.records(file, content, (source_key, target_key)):
            found.add(record.text(source_key), record.text(target_key))


def check_keys(config: Mapping[str, Any], parts: Sequence[FoundPairs]) -> None:
    """Checks that keys which are set are read.

    Args:
        config: `config.data`.
        parts: What was read.

    Raises:
        ValueError: If no file has keys.
    """
    defaults = configs.default_data_config()
    for key in KEYS:
        if config[key] != defaults[key] and not any(part.has_keys for part in parts):
            endings = ", ".join(record_files.SUFFIXES)
            raise ValueError(
                f"config.data.{key} must be {defaults[key]!r} where no file ends in {endings}. "
                f"Received: {config[key]!r}"
            )


def _list(root: Path, pattern: str, left_out: dict[str, list[str]]) -> list[Path]:
    names = sorted(found_files.list_names(root, pattern, (), left_out))
    others = [name for name in names if Path(name).suffix not in SUFFIXES]
    left_out.update({_OTHER_NAME: others} if others else {})
    return [root / name for name in names if Path(name).suffix in SUFFIXES]


def _read_file(
    root: Path,
    file: Path,
    config: Mapping[str, Any],
    name: str,
    found: FoundPairs,
    left_out: dict[str, list[str]],
) -> bool:
    """Reads a file, unless it is one that a folder may have and that holds nothing; returns whether it was read."""
    if file.suffix not in SUFFIXES:
        endings = ", ".join(SUFFIXES)
        raise ValueError(f"{name} must name a folder, or a file that ends in {endings}. Received: {str(file)!r}")
    content, reason = found_files.read(file, any_bytes=True)
    if not reason:
        read_records_or_catalog(file, content, config["source_key"], config["target_key"], found)
    elif file == root:
        raise ValueError(f"{name} must name a file of pairs that can be read. Received: {str(file)!r}, {reason}")
    else:
        left_out.setdefault(reason, []).append(_relative(file, root))
    return not reason


def _relative(file: Path, root: Path) -> str:
    return file.name if file == root else file.relative_to(root).as_posix()
