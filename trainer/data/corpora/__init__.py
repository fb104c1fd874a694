"""Sources of documents: one module a source; `config.data.name` names it."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import ml_collections

from trainer.data.corpora import (
    duplication,
    labelled_text,
    listops,
    number_words,
    pairs,
    pathfinder,
    python_stdlib,
    stdlib_labels,
    text_files,
    tfds_text,
    tokens,
)
from trainer.data.corpora.corpus import Corpus, Scored
from trainer.data.corpora.source import (
    CONTENTS,
    IDS,
    LABELLED_IDS,
    LABELLED_TEXT,
    SHARED,
    TEXT,
    TEXT_PAIRS,
    Baselines,
    Source,
)

__all__ = [
    "CONTENTS",
    "IDS",
    "LABELLED_IDS",
    "LABELLED_TEXT",
    "SHARED",
    "SOURCES",
    "TEXT",
    "TEXT_PAIRS",
    "Baselines",
    "Corpus",
    "Scored",
    "Source",
    "import_module",
    "register",
]

# config.data.name -> source
SOURCES: dict[str, Source] = {
    "python_stdlib": Source(python_stdlib.load, fields=python_stdlib.FIELDS),
    "text": Source(text_files.load, scored=text_files.scored, fields=text_files.FIELDS),
    "tfds": Source(tfds_text.load, scored=tfds_text.scored, fields=tfds_text.FIELDS),
    "tokens": Source(tokens.load, IDS, tokens.scored, tokens.check_fields, tokens.FIELDS),
    "duplication": Source(
        duplication.load, IDS, check=duplication.check_fields, fields=duplication.FIELDS, some_targets=True
    ),
    "labelled_text": Source(
        labelled_text.load,
        LABELLED_TEXT,
        labelled_text.scored,
        labelled_text.check_fields,
        labelled_text.FIELDS,
    ),
    "pairs": Source(pairs.load, TEXT_PAIRS, pairs.scored, pairs.check_fields, pairs.FIELDS),
    "number_words": Source(number_words.load, TEXT_PAIRS, check=number_words.check_fields, fields=number_words.FIELDS),
    "listops": Source(
        listops.load, LABELLED_IDS, check=listops.check_fields, fields=listops.FIELDS, baselines=listops.BASELINES
    ),
    "pathfinder": Source(
        pathfinder.load,
        LABELLED_IDS,
        check=pathfinder.check_fields,
        fields=pathfinder.FIELDS,
        baselines=pathfinder.BASELINES,
    ),
    "stdlib_tests": Source(
        stdlib_labels.load_tests, LABELLED_TEXT, check=stdlib_labels.check_fields, fields=stdlib_labels.TEST_FIELDS
    ),
    "stdlib_pairs": Source(
        stdlib_labels.load_pairs, LABELLED_TEXT, check=stdlib_labels.check_fields, fields=stdlib_labels.PAIR_FIELDS
    ),
}
_OWN = frozenset(SOURCES)


def register(name: str, load: Callable[[ml_collections.ConfigDict], Corpus], contents: str = TEXT) -> None:
    """Adds a source, or replaces one that was added before; see `trainer.register_corpus`."""
    if not isinstance(name, str) or not name.isidentifier():
        raise ValueError(f"`name` must be a Python identifier. Received: name={name!r}")
    if name in _OWN:
        raise ValueError(f"`name` must not be one of {', '.join(sorted(_OWN))}. Received: name={name!r}")
    if not callable(load):
        raise ValueError(f"`function` must be a function of `config.data`. Received: function={load!r}")
    if contents not in CONTENTS:
        raise ValueError(f"`contents` must be one of {', '.join(CONTENTS)}. Received: contents={contents!r}")
    SOURCES[name] = Source(load, contents)


def import_module(name: str) -> None:
    """Imports the module that `config.data.module` names, which registers sources.

    Raises:
        ValueError: If it cannot be imported, whatever its code raises.
    """
    if not name:
        return
    if name.startswith("."):
        raise ValueError(
            f"`config.data.module` must be the full name of a module, without a dot first. Received: {name!r}"
        )
    try:
        importlib.import_module(name)
    except Exception as error:
        raise ValueError(
            "`config.data.module` must name a module that can be imported from here. "
            f"Received: {name!r} ({type(error).__name__}: {error})"
        ) from error
