"""Predicting hidden ids, of sources that give ids and no text: `config.task = "masked_language_model"` there."""

from __future__ import annotations

import functools
from typing import Any, Self

import numpy as np
from ml_collections import ConfigDict

from trainer.data import corpora, datasets, ids_as_text
from trainer.data.examples import Examples
from trainer.data.id_entropy import id_entropy
from trainer.data.masked_examples import MaskedExamples
from trainer.data.masking import Masking
from trainer.field_checks import check
from trainer.tasks import filled_text
from trainer.tasks.masked_language_model import MaskedLanguageModel


class IdMaskedLanguageModel(MaskedLanguageModel):
    """A masked language model of ids, of which all but the mask may be in documents, and none is a boundary.

    Of documents that say which ids are targets, only those are to be predicted.

    Args:
        masking: Chooses and hides tokens.
    """

    contents = (corpora.IDS,)

    def __init__(self, masking: Masking):
        super().__init__(masking)
        self.references = {"entropy_order_0": "entropy of order 0 (ids on their own)"}

    @classmethod
    def check(cls, config: ConfigDict) -> None:
        check(config, "model.vocabulary_size", "must be at least 2, an id and the mask", lambda value: value >= 2)
        cls.check_masking(config)

    @classmethod
    def from_config(cls, config: ConfigDict) -> Self:
        return cls(Masking(config.model.vocabulary_size, **config.masking))

    def examples(self, config: ConfigDict, documents: Any, count: int = 0) -> Examples:
        return datasets.cut_examples(config, None, documents, count, functools.partial(MaskedExamples, self._masking))

    def refer(self, corpus: corpora.Corpus) -> dict[str, float]:
        return {"entropy_order_0": id_entropy(corpus.validation, self._masking.vocabulary_size, overlap=0)}

    def describe(self, ids: np.ndarray, targets: np.ndarray, likeliest: np.ndarray) -> str:
        hidden = f" {filled_text.HIDDEN}"
        return filled_text.describe(ids, targets, likeliest, self._masking.mask_id, ids_as_text.to_bytes, hidden)
