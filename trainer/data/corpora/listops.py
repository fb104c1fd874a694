"""ListOps, made from a seed: `config.data.name = "listops"`."""

from __future__ import annotations

from typing import Any

import ml_collections
import numpy as np

from trainer.data.corpora import generated_checks
from trainer.data.corpora.corpus import Corpus
from trainer.data.corpora.source import Baselines
from trainer.data.generated import listops_oracles, listops_text
from trainer.data.generated.listops import ListOps, listops
from trainer.data.id_documents import IdDocuments
from trainer.data.labelled_documents import LabelledDocuments
from trainer.data.stored_ids import StoredArray, StoredIds

FIELDS = ("examples", "validation_examples", "seed", "min_length", "max_length", "max_depth", "max_arguments")
_LABELS = tuple(map(str, range(10)))
_COUNTED = 5000  # Training lists that the oracles learn from.
_ORACLES = {
    "root_accuracy": ("root", "an oracle that reads the outermost operator"),
    **{
        f"level_{level}_accuracy": (f"level {level}", f"an oracle that reads the operators of {level} level(s)")
        for level in (1, 2, 3)
    },
}


def load(config: ml_collections.ConfigDict) -> Corpus:
    """Makes lists, whose label is their value; no list is in both parts.

    Args:
        config: `config.data`, with `FIELDS`.

    Returns:
        The corpus, of `LabelledDocuments` of ids, see `listops_text.TOKENS`.

    Raises:
        ValueError: If a field is out of its range, or there are not so many different lists.
    """
    name = (
        f"ListOps of {config.min_length + 1} to {config.max_length - 1} tokens, depth {config.max_depth}, "
        f"{config.max_arguments} arguments, seed {config.seed}"
    )
    return Corpus(
        name, _make(config, config.examples, "train"), _make(config, config.validation_examples, "validation")
    )


def check_fields(config: ml_collections.ConfigDict) -> None:
    """Checks the fields of a run that only this source has rules for.

    Raises:
        ValueError: If one breaks a rule.
    """
    generated_checks.check_counts(config)
    least = {"min_length": 0, "max_length": config.data.min_length + 2, "max_depth": 1, "max_arguments": 2}
    generated_checks.check_least(config, least)
    generated_checks.check_model(config, config.data.max_length - 1, len(listops_text.TOKENS), _LABELS)


def oracle_accuracies(corpus: Corpus) -> dict[str, float]:
    """Computes what predictors reach that read only the top of a list; see `listops_oracles`.

    Args:
        corpus: Lists to learn from, of which the first 5,000 are taken, and lists to predict.

    Returns:
        Accuracies by the names of `BASELINES`.
    """
    found = listops_oracles.accuracies(_lists(corpus.train, _COUNTED), _lists(corpus.validation))
    return {name: found[oracle] for name, (oracle, _) in _ORACLES.items()}


BASELINES = Baselines({name: label for name, (_, label) in _ORACLES.items()}, oracle_accuracies)


def _lists(part: LabelledDocuments, most: int | None = None) -> ListOps:
    """The first lists of a part."""
    documents: Any = part.documents  # IdDocuments, as `_make` makes them.
    offsets, labels = documents.offsets, part.labels[:most]
    starts, lengths = offsets[: len(labels)], np.diff(offsets)[:most]
    return ListOps(documents.ids.read_rows(starts, lengths, int(lengths.max())), lengths, labels)


def _make(config: ml_collections.ConfigDict, count: int, part: str) -> LabelledDocuments:
    sizes = (config.min_length, config.max_length, config.max_depth, config.max_arguments)
    ids, lengths, labels = listops(count, *sizes, config.seed, part)
    stored = StoredIds([StoredArray(ids[np.arange(ids.shape[1]) < lengths[:, None]], f"the {part} part")])
    return LabelledDocuments(IdDocuments(stored, np.cumsum([0, *lengths], dtype=np.int64)), labels, _LABELS)
