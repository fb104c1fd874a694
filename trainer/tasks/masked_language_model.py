"""Predicting hidden tokens from both sides: `config.task = "masked_language_model"`.

Shape letters: B rows of a batch, L sequence length.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import keras
import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from reformer_tf import models
from reformer_tf.tokenizers import Tokenizer
from trainer.data import corpora, datasets, numbered_documents, segments, tokenizers
from trainer.data.example_set import ExampleSet
from trainer.data.examples import Examples
from trainer.data.masked_examples import IGNORED, MaskedExamples, restored
from trainer.data.masking import Masking
from trainer.field_checks import check
from trainer.tasks import averages, filled_text
from trainer.tasks.task import LESS_IS_BETTER, MORE_IS_BETTER, Batch, Sums, Task


class MaskedLanguageModel(Task):
    """A masked language model of text. A batch is ids `[B, L]` with hidden tokens, their mask, and targets `[B, L]`.

    Targets are the hidden ids, and `IGNORED` for the tokens that are not to be predicted. The loss is a mean over those
    that are; a batch without any changes no weight by its gradient.

    Args:
        masking: Chooses and hides tokens.
        tokenizer: Tokenizer of the ids.
        separate_documents: Whether tokens attend only to those of their own document.
    """

    model_class = models.ReformerMaskedLM
    set_inside = ("causal", "dtype", "ignore_id", "backbone")
    fixed: ClassVar = {"causal": False}
    has_mask = True
    contents: ClassVar[tuple[str, ...]] = (corpora.TEXT, corpora.IDS)
    fields = ("masking.fraction", "masking.mask_fraction", "masking.random_fraction", "sample.tokens")
    targets = "predicted"
    unit = "token"
    summed = ("loss",)
    metric_directions: ClassVar = {"bits_per_token": LESS_IS_BETTER, "accuracy": MORE_IS_BETTER}
    measure = "bits_per_token"
    references: Mapping[str, str] = {"entropy_order_0": "entropy of order 0 (tokens on their own)"}

    def __init__(self, masking: Masking, tokenizer: Tokenizer = tokenizers.BYTES, separate_documents: bool = False):
        self._masking = masking
        self._tokenizer = tokenizer
        self._separate_documents = separate_documents

    @classmethod
    def check(cls, config: ConfigDict) -> None:
        tokenizer = tokenizers.from_config(config.data)
        least = tokenizer.vocabulary_size + 1
        rule = f"must be at least {least} (the ids of `config.data.tokens`, {config.data.tokens!r}, and the mask)"
        check(config, "model.vocabulary_size", rule, lambda value: value >= least)
        cls.check_masking(config)

    @classmethod
    def check_masking(cls, config: ConfigDict) -> None:
        """Checks how tokens are hidden and what the final report shows.

        Args:
            config: Config of a run.

        Raises:
            ValueError: If a field breaks a rule.
        """
        check(config, "masking.fraction", "must be above 0 and at most 1", lambda value: 0 < value <= 1)
        check(config, "masking.mask_fraction", "must be from 0 to 1", lambda value: 0 <= value <= 1)
        masked = config.masking.mask_fraction
        rule = f"must be from 0 to {1 - masked:g}, what `config.masking.mask_fraction` leaves"
        check(config, "masking.random_fraction", rule, lambda value: value >= 0 and value + masked <= 1)
        check(config, "sample.tokens", "must be at least 1", lambda value: value >= 1)

    @classmethod
    def from_config(cls, config: ConfigDict) -> Self:
        tokenizer = tokenizers.from_config(config.data)
        masking = Masking(config.model.vocabulary_size, **config.masking, boundary=tokenizer.boundary)
        return cls(masking, tokenizer, segments.are_wanted(config.data))

    def examples(self, config: ConfigDict, documents: Any, count: int = 0) -> Examples:
        kind = functools.partial(MaskedExamples, self._masking)
        return datasets.cut_examples(config, self._tokenizer, documents, count, kind)

    def signature(self, config: ConfigDict) -> tuple[tf.TensorSpec, ...]:
        shape = [config.train.batch_size, config.train.sequence_length]
        return tuple(tf.TensorSpec(shape, dtype) for dtype in (tf.int32, tf.bool, tf.int32))

    def ids(self, batch: Batch) -> np.ndarray:
        ids, mask, targets = batch
        return restored(ids, targets).numpy()[mask.numpy()]

    def counts(self, batch: Batch) -> Sums:
        _, mask, targets = batch
        return {"tokens": averages.count(mask), "predicted": averages.count(targets != IGNORED)}

    def losses(self, model: keras.Model, batch: Batch, training: bool, seed: tf.Tensor | None = None) -> Sums:
        ids, mask, targets = batch
        options = segments.call_options(restored(ids, targets), self._tokenizer, self._separate_documents)
        if training:
            losses = model.token_losses(ids, targets, mask=mask, training=True, seed=seed, **options)
            return {"loss": tf.reduce_sum(losses)}
        losses, right = model.token_scores(ids, targets, mask=mask, **options)
        return {"loss": tf.reduce_sum(losses), "right": averages.count(right)}

    def metrics(self, sums: Mapping[str, float]) -> dict[str, float]:
        bits = averages.bits(sums["loss"], sums["predicted"])
        return {"bits_per_token": bits, **averages.accuracy(sums, "predicted")}

    def refer(self, corpus: corpora.Corpus) -> dict[str, float]:
        ids = numbered_documents.number(corpus.validation, self._tokenizer).ids
        _, counts = np.unique(ids[ids != self._tokenizer.boundary], return_counts=True)
        probabilities = counts / counts.sum()
        return {"entropy_order_0": float(-(probabilities * np.log2(probabilities)).sum())}

    def sample(self, model: keras.Model, config: ConfigDict, examples: ExampleSet) -> str:
        ids, mask, targets = examples.gather(tf.constant([0], tf.int64))
        options = segments.call_options(restored(ids, targets), self._tokenizer, self._separate_documents)
        vectors = model.encode(ids, mask, options.get("segment_ids"), seed=None, training=False)
        count = min(config.sample.tokens, int(tf.reduce_sum(tf.cast(mask, tf.int32))))
        likeliest = tf.argmax(model.head(vectors[0, :count]), axis=-1).numpy()
        seen, expected = ids[0, :count].numpy(), targets[0, :count].numpy()
        return self.describe(seen, expected, likeliest)

    def describe(self, ids: np.ndarray, targets: np.ndarray, likeliest: np.ndarray) -> str:
        """Writes a row as the model sees it, and as it fills it in: see `filled_text`."""
        return filled_text.describe(ids, targets, likeliest, self._masking.mask_id, self._tokenizer.to_bytes)

    def export_options(self, config: ConfigDict, sentencepiece: bool) -> dict[str, Any]:
        because = "`config.task` is 'masked_language_model', whose exports have no signatures for strings"
        tokenizers.refuse_for_export(sentencepiece, because)
        return {"tokenizer": None}
