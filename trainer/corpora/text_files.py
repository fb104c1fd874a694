"""Text from a folder or a file: `config.data.name = "text"`, `config.data.path`."""

from __future__ import annotations

import fnmatch
import os
import stat
from pathlib import Path

import ml_collections

from trainer.corpora.corpus import Corpus, split_documents
from trainer.text import Documents


def load(config: ml_collections.ConfigDict) -> Corpus:
    """Loads a folder (each file with at least one byte is a document) or one file.

    The validation part is `config.validation_path` if given. Otherwise, of several files whole files are taken, see
    `choose_validation`; of a single one its last `validation_fraction`, cut at the start of a line.

    Args:
        config: `config.data`, with `path`, `pattern`, `validation_path`, `validation_fraction`.

    Returns:
        The corpus; documents in the order of their paths.

    Raises:
        ValueError: if a path is missing, not readable, or holds no text.
    """
    names, documents = read(config.path, config.pattern, "config.data.path")
    if config.validation_path:
        validation = read(config.validation_path, config.pattern, "config.data.validation_path")[1]
        return Corpus(config.path, Documents(documents), Documents(validation))
    if len(documents) > 1:
        return split_documents(config.path, names, documents, config.validation_fraction)
    head, tail = cut_tail(documents[0], config.validation_fraction)
    if not head:
        raise ValueError(
            "config.data.path must hold at least two bytes, to train on and to validate on. "
            f"Received: {config.path!r} with {len(documents[0])}"
        )
    return Corpus(config.path, Documents([head]), Documents([tail]))


def read(path: str, pattern: str, field: str) -> tuple[list[str], list[bytes]]:
    """Reads one file, or all files below a folder.

    Hidden files and folders (names with a leading dot) and files without a byte are left out.

    Args:
        path: the folder or file.
        pattern: which file names of a folder to take, such as `"*.txt"`.
        field: the name of the config field, for messages.

    Returns:
        (names, documents): path relative to the folder, with `/`, and content, in the order of the names.

    Raises:
        ValueError: if the path is missing, not readable, or holds no text.
    """
    if not path:
        raise ValueError(f"{field} must name a folder or a file of text. Received: {path!r}")
    root = Path(path).expanduser()
    try:
        is_folder = stat.S_ISDIR(root.stat().st_mode)
    except OSError as error:
        raise ValueError(
            f"{field} must name an existing folder or file. Received: {path!r} ({error.strerror})"
        ) from error
    if not is_folder:
        documents = [_read_file(root, field)]
        if not documents[0]:
            raise ValueError(f"{field} must name a file with at least one byte. Received: {path!r}, which is empty")
        return [root.name], documents
    files = sorted((file.relative_to(root).as_posix(), file) for file in _walk(root, pattern, field))
    if not files:
        raise ValueError(
            f"{field} must name a folder with files that match config.data.pattern. "
            f"Received: {path!r} with no file matching {pattern!r}"
        )
    found = [(name, _read_file(file, field)) for name, file in files]
    found = [(name, document) for name, document in found if document]
    if not found:
        raise ValueError(
            f"{field} must name a folder with text. Received: {path!r}, where all {len(files)} files are empty"
        )
    return [name for name, _ in found], [document for _, document in found]


def cut_tail(document: bytes, fraction: float) -> tuple[bytes, bytes]:
    """Cuts a document in two: (head, tail of about `fraction`); neither is empty if there are two bytes.

    The cut is made at the start of a line if one begins in the 4,096 bytes before, else between two UTF-8 characters
    if possible.
    """
    place = max(1, round(len(document) * (1.0 - fraction)))
    place = min(place, len(document) - 1)
    line = document.rfind(b"\n", max(0, place - 4096), place) + 1
    if line:
        return document[:line], document[line:]
    for start in range(place, max(0, place - 4), -1):
        if document[start] & 0xC0 != 0x80:  # not inside a character
            return document[:start], document[start:]
    return document[:place], document[place:]


def _walk(root: Path, pattern: str, field: str) -> list[Path]:
    def refuse(error: OSError) -> None:
        raise ValueError(f"{field}: every folder must be readable. Received: {error.filename!r} ({error.strerror})")

    files = []
    for folder, subfolders, names in os.walk(root, onerror=refuse):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        files += [
            Path(folder, name) for name in names if not name.startswith(".") and fnmatch.fnmatchcase(name, pattern)
        ]
    return files


def _read_file(file: Path, field: str) -> bytes:
    try:
        if not stat.S_ISREG(file.stat().st_mode):  # a pipe would wait for ever
            raise ValueError(f"{field}: only regular files are read. Received: {str(file)!r}")
        return file.read_bytes()
    except OSError as error:
        raise ValueError(f"{field}: every file must be readable. Received: {str(file)!r} ({error.strerror})") from error
