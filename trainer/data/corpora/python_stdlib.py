"""The sources of the running Python's standard library: real, long documents on every machine."""

from __future__ import annotations

import platform
import sysconfig
from pathlib import Path, PurePosixPath

import ml_collections

from trainer.data.corpora import found_files, text_or_binary, validation
from trainer.data.corpora.corpus import Corpus
from trainer.data.corpora.found_files import FoundFiles

FIELDS = ("validation_fraction",)
_SKIPPED_FOLDERS = frozenset({"site-packages", "dist-packages", "__pycache__"})
_OF_THE_MACHINE = "_sysconfigdata"  # The beginning of names of files with the paths of the machine that built Python.


def load(config: ml_collections.ConfigDict) -> Corpus:
    """Loads the sources; whole files are for validation, see `choose_validation`.

    Args:
        config: `config.data`, with `validation_fraction`. The rule of the split is always `whole_documents`.

    Returns:
        The corpus; documents in the order of their paths. Its notes say what was left out.

    Raises:
        ValueError: if this Python has no sources that can be read.
    """
    found = read_sources(Path(sysconfig.get_paths()["stdlib"]))
    name = f"Python {platform.python_version()} standard library"
    rule = {"validation_rule": validation.WHOLE_DOCUMENTS, "validation_fraction": config.validation_fraction}
    return validation.split(name, found.names, found.documents, rule, (found.note(name),))


def read_sources(root: Path) -> FoundFiles:
    """Reads the Python sources below a folder.

    Taken are all `*.py` files, the library's own tests among them. Left out are `site-packages`, `dist-packages` and
    `__pycache__`; `_sysconfigdata*`, which differs from machine to machine; files that are not UTF-8 to the last byte
    (test data for other encodings); and what is left out of any folder, see `found_files.find`.

    Args:
        root: the folder.

    Raises:
        ValueError: if the folder or a file cannot be read, or if there are fewer than two sources.
    """
    rule = "config.data.name='python_stdlib' needs the sources of the standard library"
    try:
        found = found_files.find(root, "*.py", any_bytes=True, skipped_folders=_SKIPPED_FOLDERS)
    except OSError as error:
        raise ValueError(f"{rule}. Received: {error.filename!r}, which cannot be read ({error.strerror})") from error
    sources, others = {}, []
    for name, content in zip(found.names, found.documents, strict=True):
        if PurePosixPath(name).name.startswith(_OF_THE_MACHINE):
            continue
        if _is_utf8(content):
            sources[name] = content
        else:
            others.append(name)
    if len(sources) < 2:
        raise ValueError(f"{rule}, which this Python does not have. Received: {str(root)!r} with {len(sources)}")
    left_out = {**found.left_out, **({text_or_binary.NOT_UTF8: others} if others else {})}
    return FoundFiles(list(sources), list(sources.values()), left_out)


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
