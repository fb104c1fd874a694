"""Labelled excerpts of Python's standard library: real data for classification on every machine, without a download.

- `stdlib_tests`: is an excerpt from a test, or from a module?
- `stdlib_pairs`: are two excerpts from one file, or from two?

Files are for training or for validation as a whole, so no file has excerpts in both parts.
"""

from __future__ import annotations

import itertools
import platform
import sysconfig
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import ml_collections
import numpy as np

from trainer.data.corpora import python_stdlib
from trainer.data.corpora.corpus import Corpus, choose_validation
from trainer.data.documents import Documents
from trainer.data.labelled_documents import LabelledDocuments
from trainer.field_checks import check

TEST_FIELDS = ("length", "validation_fraction")
PAIR_FIELDS = (*TEST_FIELDS, "seed")
_TEST_LABELS = ("module", "test")
_PAIR_LABELS = ("two files", "one file")
_TEST_FOLDERS = frozenset({"test", "tests", "idle_test"})
_MOST_PAIRS = 16  # Of one file, so that none has half of them.
_Files = Sequence[tuple[str, bytes]]


def load_tests(config: ml_collections.ConfigDict) -> Corpus:
    """Loads excerpts of modules and of tests.

    Args:
        config: `config.data`, with `length` and `validation_fraction`. Files are cut one excerpt after another; with
            its boundary, an excerpt has `length` ids, the last of a file at most.

    Returns:
        The corpus, of `LabelledDocuments`.

    Raises:
        ValueError: If this Python has no sources that can be read.
    """
    name, parts = _files(config)
    train, validation = (_tests(part, config.length - 1) for part in parts)
    return Corpus(f"excerpts of {name}: modules and tests", train, validation)


def load_pairs(config: ml_collections.ConfigDict) -> Corpus:
    """Loads pairs of excerpts that follow each other, half of them with the second one of another file.

    Args:
        config: `config.data`, with `length` and `validation_fraction`, as for `load_tests`, and `seed`, which decides
            which pairs are mixed. Excerpts are full, and a file has at most 16 pairs, at equal distances.

    Returns:
        The corpus, of `LabelledDocuments` with pairs.

    Raises:
        ValueError: If this Python has no sources that can be read.
    """
    name, parts = _files(config)
    stream = np.random.RandomState(config.seed)
    train, validation = (_pairs(part, config.length - 1, stream) for part in parts)
    return Corpus(f"pairs of excerpts of {name}", train, validation)


def check_fields(config: ml_collections.ConfigDict) -> None:
    """Checks the fields of a run that only these sources have rules for.

    Raises:
        ValueError: If one breaks a rule.
    """
    check(config, "data.length", "must be at least 2, a boundary and a byte", (2).__le__)
    check(config, "data.seed", "must not be negative", (0).__le__)


def _files(config: ml_collections.ConfigDict) -> tuple[str, tuple[_Files, _Files]]:
    """The name of the library; the files to train on and those to validate on."""
    found = python_stdlib.read_sources(Path(sysconfig.get_paths()["stdlib"]))
    files = [*zip(found.names, found.documents, strict=True)]
    chosen: set[str] = set()
    for of_tests in (False, True):  # The same fraction of both.
        some = [(name, len(content)) for name, content in files if _is_test(name) == of_tests]
        names, sizes = zip(*some, strict=True)
        chosen.update(names[index] for index in choose_validation(names, sizes, config.validation_fraction))
    train, validation = ([file for file in files if (file[0] in chosen) == is_in] for is_in in (False, True))
    return f"Python {platform.python_version()} standard library", (train, validation)


def _is_test(name: str) -> bool:
    return not _TEST_FOLDERS.isdisjoint(PurePosixPath(name).parts)


def _tests(files: _Files, size: int) -> LabelledDocuments:
    excerpts, labels = [], []
    for name, content in files:
        parts = [content[start : start + size] for start in range(0, len(content), size)]
        excerpts += parts
        labels += [int(_is_test(name))] * len(parts)
    return LabelledDocuments(Documents(excerpts), np.array(labels, np.int32), _TEST_LABELS)


def _pairs(files: _Files, size: int, stream: np.random.RandomState) -> LabelledDocuments:
    first, second, numbers = [], [], []
    for number, (_, content) in enumerate(files):
        count = len(content) // (2 * size)
        few = min(count, _MOST_PAIRS)
        for start in (index * count // few * 2 * size for index in range(few)):
            first.append(content[start : start + size])
            second.append(content[start + size : start + 2 * size])
            numbers.append(number)
    mixed = np.sort(stream.permutation(len(first))[: len(first) // 2])
    # By the largest count of one file, so that each moves beyond its own: files come one after another.
    counts = [len([*group]) for _, group in itertools.groupby(numbers[index] for index in mixed)]
    others = np.roll(mixed, -max(counts, default=0))
    moves = zip(mixed.tolist(), others.tolist(), strict=True)
    exchanged = {index: other for index, other in moves if numbers[index] != numbers[other]}
    seconds = [second[exchanged.get(index, index)] for index in range(len(second))]
    labels = [int(index not in exchanged) for index in range(len(numbers))]
    return LabelledDocuments(Documents(first), np.array(labels, np.int32), _PAIR_LABELS, Documents(seconds))
