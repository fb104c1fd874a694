"""Pathfinder, painted from a seed: `config.data.name = "pathfinder"`."""

from __future__ import annotations

from typing import Any

import ml_collections
import numpy as np

from trainer.data.corpora import generated_checks
from trainer.data.corpora.corpus import Corpus
from trainer.data.corpora.source import Baselines
from trainer.data.generated import baselines
from trainer.data.generated.pathfinder import pathfinder
from trainer.data.id_documents import IdDocuments
from trainer.data.labelled_documents import LabelledDocuments
from trainer.data.stored_ids import StoredArray, StoredIds

FIELDS = ("examples", "validation_examples", "seed", "contour_length", "distractors")
_LABELS = ("apart", "connected")
_PIXELS, _GREY_LEVELS = 1024, 256
_USUAL = -1  # As many distractors as the data set has by default.
# Training pictures that the baselines learn from, and how often the network sees each: 6 minutes of CPU time at most.
_LEARNT, _EPOCHS = 60_000, 7


def load(config: ml_collections.ConfigDict) -> Corpus:
    """Paints pictures of two contours, whose label says whether two markers stand at the ends of one of them.

    Args:
        config: `config.data`, with `FIELDS`.

    Returns:
        The corpus, of `LabelledDocuments` of 1,024 grey levels each.

    Raises:
        ValueError: If the contours do not fit in a picture.
    """
    beside = "" if config.distractors == _USUAL else f", {config.distractors} distractors"
    name = f"Pathfinder of contours of {config.contour_length} dashes{beside}, seed {config.seed}"
    return Corpus(
        name, _make(config, config.examples, "train"), _make(config, config.validation_examples, "validation")
    )


def check_fields(config: ml_collections.ConfigDict) -> None:
    """Checks the fields of a run that only this source has rules for.

    Raises:
        ValueError: If one breaks a rule.
    """
    generated_checks.check_counts(config)
    generated_checks.check_least(config, {"contour_length": 3, "distractors": _USUAL})
    generated_checks.check_model(config, _PIXELS, _GREY_LEVELS, _LABELS)


def picture_accuracies(corpus: Corpus) -> dict[str, float]:
    """Computes what predictors reach that see only how often each grey level occurs, or neighbourhoods of pixels.

    Prints a line for each epoch of the network, whose training takes minutes where there are many pictures.

    Args:
        corpus: Pictures to learn from, of which the first 60,000 are taken, and pictures to predict.

    Returns:
        Accuracies by the names of `BASELINES`.
    """
    # Keras, which only this baseline needs, is slow to import.
    from trainer.data.generated.small_cnn import small_cnn

    def show(epoch: int) -> None:
        print(f"A small CNN learns from {len(train[1]):,} pictures: epoch {epoch} of {_EPOCHS}", flush=True)

    train, validation = _pictures(corpus.train, _LEARNT), _pictures(corpus.validation)
    return {
        "bag_of_pixels_accuracy": baselines.bag_of_pixels(*train, *validation),
        "small_cnn_accuracy": small_cnn(*train, *validation, epochs=_EPOCHS, on_epoch=show),
    }


BASELINES = Baselines(
    {"bag_of_pixels_accuracy": "how often each grey level occurs", "small_cnn_accuracy": "a small CNN"},
    picture_accuracies,
)


def _pictures(part: LabelledDocuments, most: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The first pictures of a part, `[N, 1024]` uint8, and their labels `[N]`."""
    documents: Any = part.documents  # IdDocuments, as `_make` makes them.
    labels = part.labels[:most]
    ids = documents.ids.read(0, len(labels) * _PIXELS).astype(np.uint8)
    return ids.reshape(-1, _PIXELS), labels


def _make(config: ml_collections.ConfigDict, count: int, part: str) -> LabelledDocuments:
    distractors = None if config.distractors == _USUAL else config.distractors
    ids, labels = pathfinder(count, config.contour_length, distractors, config.seed, part)
    stored = StoredIds([StoredArray(ids.reshape(-1), f"the {part} part")])
    return LabelledDocuments(IdDocuments(stored, np.arange(count + 1, dtype=np.int64) * _PIXELS), labels, _LABELS)
