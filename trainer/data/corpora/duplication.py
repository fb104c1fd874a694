"""The duplication task of the Reformer's paper, made from a seed: `config.data.name = "duplication"`."""

from __future__ import annotations

import ml_collections
import numpy as np

from trainer.data.corpora.corpus import Corpus
from trainer.data.generated.duplication import duplication
from trainer.data.id_documents import IdDocuments
from trainer.data.stored_ids import StoredArray, StoredIds
from trainer.field_checks import check

FIELDS = ("examples", "validation_examples", "length", "symbols", "seed")


def load(config: ml_collections.ConfigDict) -> Corpus:
    """Makes the documents `0 w 0 w`, of which the second `w` are the targets; training and validation differ.

    Args:
        config: `config.data`, with `examples`, `validation_examples`, `length`, `symbols` and `seed`.

    Returns:
        The corpus.
    """
    name = f"duplication of {config.symbols} symbols at length {config.length}, seed {config.seed}"
    return Corpus(
        name, _make(config, config.examples, "train"), _make(config, config.validation_examples, "validation")
    )


def check_fields(config: ml_collections.ConfigDict) -> None:
    """Checks the fields of a run that only this source has rules for.

    Raises:
        ValueError: if one breaks a rule.
    """
    data = config.data
    for name in ("examples", "validation_examples", "symbols"):
        check(config, f"data.{name}", "must be at least 1", lambda value: value >= 1)
    check(config, "data.seed", "must not be negative", lambda value: value >= 0)
    check(config, "data.length", "must be even and at least 4", lambda value: value >= 4 and value % 2 == 0)
    rule = "must be 'padded' where `config.data.name` is 'duplication': each example is a sequence of its own"
    check(config, "data.layout", rule, lambda value: value == "padded")
    rule = f"must be at least {data.length - 1}, the ids after the first of `config.data.length`"
    check(config, "train.sequence_length", rule, lambda value: value >= data.length - 1)
    rule = f"must be at least {data.symbols + 1}, 0 and the ids of `config.data.symbols`"
    check(config, "model.vocabulary_size", rule, lambda value: value > data.symbols)


def _make(config: ml_collections.ConfigDict, count: int, part: str) -> IdDocuments:
    ids, scored = duplication(count, config.length, config.symbols, config.seed, part)
    stored = StoredIds([StoredArray(ids.reshape(-1), f"the {part} part")])
    return IdDocuments(stored, np.arange(count + 1, dtype=np.int64) * config.length, np.tile(scored, count))
