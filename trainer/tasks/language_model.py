"""Predicting the next token: `config.task = "language_model"`.

Shape letters: B rows of a batch, L sequence length.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import keras
import tensorflow as tf
from ml_collections import ConfigDict

from reformer_tf import models
from reformer_tf.layers.attention import registry
from reformer_tf.tokenizers import Tokenizer
from trainer.data import corpora, datasets, segments, tokenizers
from trainer.data.documents import byte_entropy
from trainer.data.example_set import ExampleSet
from trainer.data.examples import Examples
from trainer.field_checks import check
from trainer.tasks import averages, text_sample
from trainer.tasks.task import LESS_IS_BETTER, MORE_IS_BETTER, Batch, Sums, Task


class LanguageModel(Task):
    """A causal language model of text. A batch is ids `[B, L + 1]` and their mask; all ids but the first are targets.

    Args:
        tokenizer: Tokenizer of the ids.
        separate_documents: Whether tokens attend only to those of their own document.
    """

    model_class = models.ReformerCausalLM
    set_inside = ("causal", "dtype")
    fixed: ClassVar = {"causal": True}
    contents: ClassVar[tuple[str, ...]] = (corpora.TEXT, corpora.IDS)
    fields = ("sample.prompt", "sample.temperature", "sample.tokens")
    targets = "tokens"
    unit = "token"
    summed: ClassVar[tuple[str, ...]] = ("loss", "byte_loss")
    metric_directions: ClassVar = {"bits_per_byte": LESS_IS_BETTER, "accuracy": MORE_IS_BETTER}
    measure = "bits_per_byte"
    references: Mapping[str, str] = {
        "entropy_order_0": "entropy of order 0 (bytes on their own)",
        "entropy_order_1": "entropy of order 1 (given the byte before)",
    }

    def __init__(self, tokenizer: Tokenizer = tokenizers.BYTES, separate_documents: bool = False):
        self._tokenizer = tokenizer
        self._separate_documents = separate_documents

    @classmethod
    def check(cls, config: ConfigDict) -> None:
        tokenizer = tokenizers.from_config(config.data)
        ids = f"(the ids of `config.data.tokens`, {config.data.tokens!r})"
        check(
            config,
            "model.vocabulary_size",
            f"must be at least {tokenizer.vocabulary_size} {ids}",
            lambda value: value >= tokenizer.vocabulary_size,
        )
        cls.check_sample(config, len(tokenizer.to_ids(config.sample.prompt)))

    @classmethod
    def check_sample(cls, config: ConfigDict, prompt: int) -> None:
        """Checks what the final report continues.

        Args:
            config: Config of a run.
            prompt: Number of ids of the prompt.

        Raises:
            ValueError: If the model cannot continue it, or not by so many tokens.
        """
        if config.report:
            try:
                registry.require_decoding(config.model.attention_layers)
            except ValueError as error:
                raise ValueError(f"`config.report` must be False with this model: {error}") from error
        check(config, "sample.temperature", "must be above 0", lambda value: value > 0)
        check(config, "sample.tokens", "must be at least 1", lambda value: value >= 1)
        limit = config.model.max_sequence_length - prompt
        if config.report:
            rule = f"must be at most {limit}, what `config.model.max_sequence_length` leaves beside the prompt"
            check(config, "sample.tokens", rule, lambda value: value <= limit)

    @classmethod
    def from_config(cls, config: ConfigDict) -> Self:
        return cls(tokenizers.from_config(config.data), segments.are_wanted(config.data))

    def examples(self, config: ConfigDict, documents: Any, count: int = 0) -> Examples:
        return datasets.cut_examples(config, self._tokenizer, documents, count)

    def signature(self, config: ConfigDict) -> tuple[tf.TensorSpec, ...]:
        shape = [config.train.batch_size, config.train.sequence_length + 1]
        return tf.TensorSpec(shape, tf.int32), tf.TensorSpec(shape, tf.bool)

    def counts(self, batch: Batch) -> Sums:
        ids, mask = batch
        targets = tf.cast(mask[:, 1:], tf.float32)
        counts = averages.look_up(self._tokenizer.byte_counts, ids[:, 1:])
        return {"tokens": tf.reduce_sum(targets), "bytes": tf.reduce_sum(targets * counts)}

    def losses(self, model: keras.Model, batch: Batch, training: bool, seed: tf.Tensor | None = None) -> Sums:
        ids, mask = batch
        options = segments.call_options(ids, self._tokenizer, self._separate_documents)
        if training:
            losses = model.token_losses(ids, mask=mask, training=True, seed=seed, **options)
            return self._sums(losses, ids)
        losses, right = model.token_scores(ids, mask=mask, **options)
        return {**self._sums(losses, ids), "right": averages.count(right)}

    def _sums(self, losses: tf.Tensor, ids: tf.Tensor) -> Sums:
        is_byte = averages.look_up((self._tokenizer.byte_counts > 0).astype(losses.dtype.as_numpy_dtype), ids[:, 1:])
        return {"loss": tf.reduce_sum(losses), "byte_loss": tf.reduce_sum(losses * is_byte)}

    def metrics(self, sums: Mapping[str, float]) -> dict[str, float]:
        bits = averages.bits(sums["byte_loss"], sums["bytes"])
        return {"bits_per_byte": bits, **averages.accuracy(sums, "tokens")}

    def refer(self, corpus: corpora.Corpus) -> dict[str, float]:
        return {name: byte_entropy(corpus.validation, context) for context, name in enumerate(self.references)}

    def sample(self, model: keras.Model, config: ConfigDict, examples: ExampleSet) -> str:
        asked = config.sample
        return text_sample.continue_text(
            model, asked.prompt, asked.tokens, asked.temperature, tokenizer=self._tokenizer
        )

    def export_options(self, config: ConfigDict, sentencepiece: bool) -> dict[str, Any]:
        return {"tokenizer": tokenizers.for_export(config.data, sentencepiece)}
