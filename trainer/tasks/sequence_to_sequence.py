"""Predicting the target of a source, such as its translation: `config.task = "sequence_to_sequence"`.

Shape letters: B rows of a batch, S source length, T target length.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import keras
import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from reformer_tf import models
from reformer_tf.models import seq2seq_options
from reformer_tf.tokenizers import Tokenizer
from trainer.data import corpora, tokenizers
from trainer.data.example_set import ExampleSet
from trainer.data.pair_examples import PairExamples
from trainer.field_checks import check, check_choice
from trainer.tasks import averages, bleu, translation_sample, translator
from trainer.tasks.task import LESS_IS_BETTER, MORE_IS_BETTER, Batch, Sums, Task
from trainer.tasks.translator import Translator, as_text

_INPUTS = ("source", "source_mask", "target", "target_mask")
_GENERATED = ("bleu", "exact_match")


class SequenceToSequence(Task):
    """A model of pairs of texts. A batch is ids `[B, S]`, their mask, ids `[B, T]`, their mask: see `PairExamples`.

    The loss is a mean over the tokens of the targets, their ends included. In training it has the model's label
    smoothing; the numbers of an evaluation do not. BLEU and exact matches are of `config.translation`'s translations.

    Args:
        translator: Translates examples of an evaluation and of the sample.
        tokenizer: Tokenizer of both sides.
        translated: Number of examples that an evaluation translates, at equal distances; 0 for none, -1 for all.
        bleu_tokenizer: Tokenizer of BLEU, one of `bleu.TOKENIZERS`.
    """

    model_class = models.ReformerSeq2Seq
    set_inside = ("dtype", "vocabulary_size", "max_sequence_length", "num_layers", "attention_layers", "causal")
    sizes = ("source_vocabulary_size", "target_vocabulary_size", "max_source_length", "max_target_length")
    fixed: ClassVar = {}
    contents = (corpora.TEXT_PAIRS,)
    fields = (
        "translation.bleu_tokenizer",
        "translation.examples",
        "translation.length_penalty",
        "translation.max_new_tokens",
        "translation.num_beams",
        "translation.sampler",
    )
    targets = "target_tokens"
    unit = "target token"
    summed = ("loss",)
    metric_directions: ClassVar = {
        "bits_per_byte": LESS_IS_BETTER,
        "accuracy": MORE_IS_BETTER,
        "bleu": MORE_IS_BETTER,
        "exact_match": MORE_IS_BETTER,
    }
    measure = "bleu"
    references: Mapping[str, str] = {"bleu_of_sources": "each source as its own translation"}

    def __init__(
        self,
        translator: Translator,
        tokenizer: Tokenizer = tokenizers.BYTES,
        translated: int = 0,
        bleu_tokenizer: str = "13a",
    ):
        self._translator = translator
        self._bleu_tokenizer = bleu_tokenizer
        self._tokenizer = tokenizer
        self._translated = translated

    @classmethod
    def check(cls, config: ConfigDict) -> None:
        tokenizer = tokenizers.from_config(config.data)
        rule = f"must be at least {tokenizer.vocabulary_size} (the ids of `config.data.tokens`, {config.data.tokens!r})"
        for name in ("source_vocabulary_size", "target_vocabulary_size"):
            check(config, f"model.{name}", rule, lambda value: value >= tokenizer.vocabulary_size)
        rule = "must be 'padded' where `config.task` is 'sequence_to_sequence': each pair is a row"
        check(config, "data.layout", rule, lambda value: value == "padded")
        for name, default in (("data.separate_documents", False), ("data.train_windows", 0)):
            rule = f"must be {default!r} where `config.task` is 'sequence_to_sequence', which does not use it"
            check(config, name, rule, default.__eq__)
        _check_translation(config)

    @classmethod
    def check_lengths(cls, config: ConfigDict) -> None:
        longest = config.model.max_target_length
        rule = f"must be from 1 to `config.model.max_target_length`, {longest}"
        check(config, "train.sequence_length", rule, lambda value: 1 <= value <= longest)
        longest = config.model.max_source_length
        rule = f"must be from 1 to `config.model.max_source_length`, {longest}, or 0 for `config.train.sequence_length`"
        check(config, "data.source_length", rule, lambda value: value >= 0 and _source_length(config) <= longest)

    @classmethod
    def backbones(cls, arguments: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        parameters = inspect.signature(models.ReformerBackbone).parameters.values()
        defaults = {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}
        encoder, decoder = seq2seq_options.split(seq2seq_options.checked(arguments))
        return {
            "encoder": {**defaults, **encoder, "causal": False},
            "decoder": {**defaults, **decoder, "causal": True},
        }

    @classmethod
    def from_config(cls, config: ConfigDict) -> Self:
        tokenizer = tokenizers.from_config(config.data)
        asked = config.translation
        return cls(Translator.from_config(config), tokenizer, asked.examples, asked.bleu_tokenizer)

    def examples(self, config: ConfigDict, documents: Any, count: int = 0) -> PairExamples:
        lengths = _source_length(config), config.train.sequence_length
        return PairExamples(documents, self._tokenizer, *lengths, config.data.length_buckets)

    def validation_examples(self, config: ConfigDict, documents: Any) -> ExampleSet:
        if self._translated:
            bleu.require_sacrebleu()
        return super().validation_examples(config, documents)

    def signature(self, config: ConfigDict) -> tuple[tf.TensorSpec, ...]:
        rows, lengths = config.train.batch_size, (_source_length(config), config.train.sequence_length)
        return tuple(tf.TensorSpec([rows, length], dtype) for length in lengths for dtype in (tf.int32, tf.bool))

    def ids(self, batch: Batch) -> np.ndarray:
        return np.concatenate([*_sides(batch)])

    def request(self, batch: Batch, longest: int) -> dict[str, np.ndarray]:
        return {name: ids[None, :longest] for name, ids in zip(("source", "target"), _sides(batch), strict=True)}

    def counts(self, batch: Batch) -> Sums:
        _, source_mask, target, target_mask = batch
        targets = averages.count(target_mask)
        sizes = averages.look_up(self._tokenizer.byte_counts, target)
        return {
            "tokens": averages.count(source_mask) + targets,
            "target_tokens": targets,
            "target_bytes": tf.reduce_sum(tf.where(target_mask, sizes, 0.0)),
        }

    def losses(self, model: keras.Model, batch: Batch, training: bool, seed: tf.Tensor | None = None) -> Sums:
        inputs = dict(zip(_INPUTS, batch, strict=True))
        if training:
            return {"loss": tf.reduce_sum(model.token_losses(inputs, training=True, seed=seed))}
        losses, right = model.token_scores(inputs)
        is_text = averages.look_up((self._tokenizer.byte_counts > 0).astype(np.float32), inputs["target"])
        return {
            "loss": tf.reduce_sum(losses),
            "byte_loss": tf.reduce_sum(losses * is_text),
            "right": averages.count(right),
        }

    def metrics(self, sums: Mapping[str, float]) -> dict[str, float]:
        if "byte_loss" not in sums:
            return {}  # The loss of a training step is smoothed.
        bits = averages.bits(sums["byte_loss"], sums["target_bytes"])
        return {"bits_per_byte": bits, **averages.accuracy(sums, "target_tokens")}

    def generated_examples(self, examples: ExampleSet) -> ExampleSet | None:
        if not self._translated:
            return None
        bleu.require_sacrebleu()
        return examples.spread(max(self._translated, 0))

    def generated_metrics(
        self, model: keras.Model, examples: Any, batch_size: int, progress: Callable[[int], None]
    ) -> tuple[dict[str, float], str]:
        translations = self._translator.translate_examples(model, examples, batch_size, progress)
        references = [as_text(text) for text in examples.references()]
        found = bleu.corpus_bleu(translations, references, self._bleu_tokenizer)
        numbers = {"bleu": found.score, "exact_match": translator.exact_match(translations, references)}
        return numbers, f"BLEU of {len(references)} translations: {found.score:.2f}, {found.signature}"

    def refer(self, corpus: corpora.Corpus) -> dict[str, float]:
        sides = (corpus.validation.sources, corpus.validation.targets)
        sources, targets = ([as_text(text) for text in side] for side in sides)
        return {"bleu_of_sources": bleu.corpus_bleu(sources, targets, self._bleu_tokenizer).score}

    def sample(self, model: keras.Model, config: ConfigDict, examples: Any) -> str:
        return translation_sample.describe(model, examples, self._translator)

    def export_options(self, config: ConfigDict, sentencepiece: bool) -> dict[str, Any]:
        return {"tokenizer": tokenizers.for_export(config.data, sentencepiece)}


def _source_length(config: ConfigDict) -> int:
    return config.data.source_length or config.train.sequence_length


def _sides(batch: Batch) -> list[np.ndarray]:
    """The ids without padding of all sources, and of all targets."""
    return [ids.numpy()[mask.numpy()] for ids, mask in zip(batch[::2], batch[1::2], strict=True)]


def _check_translation(config: ConfigDict) -> None:
    check(config, "translation.examples", "must be at least -1, which means all", lambda value: value >= -1)
    check_choice(config, "translation.sampler", translator.SAMPLERS)
    check_choice(config, "translation.bleu_tokenizer", bleu.TOKENIZERS)
    check(config, "translation.num_beams", "must be at least 1", lambda value: value >= 1)
    check(config, "translation.length_penalty", "must not be negative", lambda value: value >= 0)
    longest = config.model.max_target_length
    rule = f"must be from 0 to `config.model.max_target_length`, {longest}"
    check(config, "translation.max_new_tokens", rule, lambda value: 0 <= value <= longest)
    if not config.translation.examples:
        rule = "must not be one of {} where `config.translation.examples` is 0: nothing is translated"
        for name in ("best_metric", "early_stopping_metric"):
            check(config, f"train.{name}", rule.format(", ".join(_GENERATED)), lambda value: value not in _GENERATED)
        rule = "must be False where `config.translation.examples` is 0: the report compares BLEU"
        check(config, "report", rule, lambda value: not value)
