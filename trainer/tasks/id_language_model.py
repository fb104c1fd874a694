"""Predicting the next id, of sources that give ids and no text: `config.task = "language_model"` there.

Shape letters: B rows of a batch, L sequence length.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import keras
import tensorflow as tf
from ml_collections import ConfigDict

from trainer.data import corpora, datasets, ids_as_text, tokenizers
from trainer.data.examples import Examples
from trainer.data.id_entropy import id_entropy
from trainer.tasks import averages
from trainer.tasks.language_model import LanguageModel
from trainer.tasks.task import LESS_IS_BETTER, MORE_IS_BETTER, Batch, Sums

_MOST_FOR_PAIRS = 4096
"""The largest vocabulary whose pairs are counted for the final report, by 128 MiB of counters."""


class IdLanguageModel(LanguageModel):
    """A causal language model of ids. A batch is ids `[B, L + 1]` and their mask; all ids but the first are targets.

    Of documents that say which ids are targets, a batch has a third tensor, `[B, L + 1]` bool, True for those.

    Args:
        vocabulary_size: The number of ids of the model.
        layout: How documents are cut into examples, `"packed"` or `"padded"`: it decides which ids have none before
            them, and are no targets.
    """

    contents = (corpora.IDS,)
    summed = ("loss",)
    metric_directions: ClassVar = {"bits_per_token": LESS_IS_BETTER, "accuracy": MORE_IS_BETTER}
    measure = "bits_per_token"

    def __init__(self, vocabulary_size: int, layout: str = "packed"):
        super().__init__()
        self._vocabulary_size = vocabulary_size
        self._layout = layout
        self.references = {"entropy_order_0": "entropy of order 0 (ids on their own)"}
        if vocabulary_size <= _MOST_FOR_PAIRS:
            self.references["entropy_order_1"] = "entropy of order 1 (given the id before)"

    @classmethod
    def check(cls, config: ConfigDict) -> None:
        cls.check_sample(config, max(1, len(_prompt(config))))

    @classmethod
    def from_config(cls, config: ConfigDict) -> Self:
        return cls(config.model.vocabulary_size, config.data.layout)

    def examples(self, config: ConfigDict, documents: Any, count: int = 0) -> Examples:
        return datasets.cut_examples(config, None, documents, count)

    def signature(self, config: ConfigDict) -> tuple[tf.TensorSpec, ...]:
        ids, mask = super().signature(config)
        return (ids, mask, mask) if corpora.SOURCES[config.data.name].some_targets else (ids, mask)

    def counts(self, batch: Batch) -> Sums:
        _, *flags = batch
        return {"tokens": averages.count(flags[-1][:, 1:])}

    def losses(self, model: keras.Model, batch: Batch, training: bool, seed: tf.Tensor | None = None) -> Sums:
        ids, mask, *scored = batch
        if training:
            return {"loss": _sum(model.token_losses(ids, mask=mask, training=True, seed=seed), *scored)}
        losses, right = model.token_scores(ids, mask=mask)
        return {"loss": _sum(losses, *scored), "right": _sum(right, *scored)}

    def metrics(self, sums: Mapping[str, float]) -> dict[str, float]:
        bits = averages.bits(sums["loss"], sums["tokens"])
        return {"bits_per_token": bits, **averages.accuracy(sums, "tokens")}

    def refer(self, corpus: corpora.Corpus) -> dict[str, float]:
        entropy = functools.partial(id_entropy, corpus.validation, self._vocabulary_size, layout=self._layout)
        return {name: entropy(context=context) for context, name in enumerate(self.references)}

    def sample(self, model: keras.Model, config: ConfigDict, examples: Any) -> str:
        asked, prompt = config.sample, _prompt(config)
        before = [] if prompt else examples[0][0][:1].tolist()  # A document of ids has no boundary to begin with.
        new = model.stream(
            prompt or before, max_new_tokens=asked.tokens, sampler="random", temperature=asked.temperature, seed=0
        )
        text = ids_as_text.to_bytes([*before, *map(int, new)]).decode()
        return text if prompt else text.lstrip()

    def export_options(self, config: ConfigDict, sentencepiece: bool) -> dict[str, Any]:
        tokenizers.refuse_for_export(sentencepiece, "a run has ids")
        return {"tokenizer": None}


def _prompt(config: ConfigDict) -> list[int]:
    return ids_as_text.to_ids(config.sample.prompt, "`config.sample.prompt`", config.model.vocabulary_size)


def _sum(values: tf.Tensor, scored: tf.Tensor | None = None) -> tf.Tensor:
    """Sums `[B, L]` numbers of targets in float32; `scored` `[B, L + 1]` says which of them count."""
    values = tf.cast(values, tf.float32)
    return tf.reduce_sum(values if scored is None else tf.where(scored[:, 1:], values, 0.0))
