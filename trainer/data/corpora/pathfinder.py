"""Pathfinder, painted from a seed: `config.data.name = "pathfinder"`."""

from __future__ import annotations

import ml_collections
import numpy as np

from trainer.data.corpora import generated_checks
from trainer.data.corpora.corpus import Corpus
from trainer.data.generated.pathfinder import pathfinder
from trainer.data.id_documents import IdDocuments
from trainer.data.labelled_documents import LabelledDocuments
from trainer.data.stored_ids import StoredArray, StoredIds

FIELDS = ("examples", "validation_examples", "seed", "contour_length")
_LABELS = ("apart", "connected")
_PIXELS, _GREY_LEVELS = 1024, 256


def load(config: ml_collections.ConfigDict) -> Corpus:
    """Paints pictures of two contours, whose label says whether two markers stand at the ends of one of them.

    Args:
        config: `config.data`, with `FIELDS`.

    Returns:
        The corpus, of `LabelledDocuments` of 1,024 grey levels each.

    Raises:
        ValueError: If the contours do not fit in a picture.
    """
    name = f"Pathfinder of contours of {config.contour_length} dashes, seed {config.seed}"
    return Corpus(
        name, _make(config, config.examples, "train"), _make(config, config.validation_examples, "validation")
    )


def check_fields(config: ml_collections.ConfigDict) -> None:
    """Checks the fields of a run that only this source has rules for.

    Raises:
        ValueError: If one breaks a rule.
    """
    generated_checks.check_counts(config)
    generated_checks.check_least(config, {"contour_length": 3})
    generated_checks.check_model(config, _PIXELS, _GREY_LEVELS, _LABELS)


def _make(config: ml_collections.ConfigDict, count: int, part: str) -> LabelledDocuments:
    ids, labels = pathfinder(count, config.contour_length, seed=config.seed, part=part)
    stored = StoredIds([StoredArray(ids.reshape(-1), f"the {part} part")])
    return LabelledDocuments(IdDocuments(stored, np.arange(count + 1, dtype=np.int64) * _PIXELS), labels, _LABELS)
