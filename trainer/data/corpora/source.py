"""A source of documents: how `config.data.name` is loaded, and what it gives."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping

import ml_collections

from trainer.data.corpora.corpus import Corpus, Scored

TEXT = "text"
IDS = "ids"
LABELLED_TEXT = "labelled text"
LABELLED_IDS = "labelled ids"
TEXT_PAIRS = "pairs of texts"
CONTENTS = (TEXT, IDS, LABELLED_TEXT, LABELLED_IDS, TEXT_PAIRS)
"""What documents may be: bytes that a tokenizer turns into ids, or ids; with a label each, or without; or pairs of a
source and a target, both bytes."""


SHARED = (
    "name",
    "module",
    "layout",
    "tokens",
    "sentencepiece_model",
    "separate_documents",
    "length_buckets",
    "group_by_length",
    "source_length",
    "train_windows",
    "labels",
)
"""Fields of `config.data` that are not for the source alone: they say what becomes of its documents."""


@dataclasses.dataclass(frozen=True)
class Baselines:
    """What simple predictors reach on a corpus.

    Attributes:
        labels: What each of them is, for people, by the names of their numbers.
        compute: Computes the numbers by name.
    """

    labels: Mapping[str, str]
    compute: Callable[[Corpus], dict[str, float]]


@dataclasses.dataclass(frozen=True)
class Source:
    """A source of documents.

    Attributes:
        load: Loads the documents that `config.data` names: the same ones at every call.
        contents: What its documents are, one of `CONTENTS`.
        scored: Loads the documents to score a model on, given the names of the fields that were set anew. By default
            these are the validation documents.
        check: Checks the fields of a whole config that the source alone has rules for.
        fields: Names of the fields of `config.data` that it reads, beside `SHARED`: all others are refused. None for
            one's own sources, which may read any.
        some_targets: Whether its ids say which of them are targets, for who compiles a step without data.
        baselines: What simple predictors of labels reach, for the final report; None if there are no such.
    """

    load: Callable[[ml_collections.ConfigDict], Corpus]
    contents: str = TEXT
    scored: Callable[[ml_collections.ConfigDict, Collection[str]], Scored] | None = None
    check: Callable[[ml_collections.ConfigDict], None] | None = None
    fields: tuple[str, ...] | None = None
    some_targets: bool = False
    baselines: Baselines | None = None

    @property
    def has_text(self) -> bool:
        """Whether the documents are bytes, for a tokenizer."""
        return self.contents in (TEXT, LABELLED_TEXT, TEXT_PAIRS)

    @property
    def has_labels(self) -> bool:
        """Whether each document has a label."""
        return self.contents in (LABELLED_TEXT, LABELLED_IDS)
