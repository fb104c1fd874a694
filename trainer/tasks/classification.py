"""Choosing one of some labels for a sequence: `config.task = "classification"`.

Shape letters: B rows of a batch, L sequence length, C labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import keras
import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from reformer_tf import models
from reformer_tf.models import text_pairs
from reformer_tf.tokenizers import Tokenizer
from trainer.data import corpora, tokenizers
from trainer.data.labelled_documents import LabelledDocuments
from trainer.data.labelled_examples import LabelledExamples
from trainer.field_checks import check
from trainer.tasks import averages, label_sample
from trainer.tasks.task import MORE_IS_BETTER, Batch, Sums, Task


class Classification(Task):
    """A classifier. A batch is ids `[B, L]`, their mask and labels `[B]`: see `LabelledExamples`.

    With `config.model.pair`, a batch also has the ids of the second texts and their mask, before the labels.

    Args:
        tokenizer: Tokenizer of documents that are text.
        pair: Whether each example is a pair of documents.
        baselines: What else than the most frequent label the final report compares with, of the source.
    """

    model_class = models.ReformerClassifier
    set_inside = ("backbone", "dtype")
    fixed: ClassVar = {}
    contents = (corpora.LABELLED_TEXT, corpora.LABELLED_IDS)
    fields = ()
    targets = "examples"
    unit = "example"
    summed = ("loss", "correct")
    metric_directions: ClassVar = {"accuracy": MORE_IS_BETTER}
    measure = "accuracy"
    references: Mapping[str, str] = {"majority_accuracy": "the most frequent label, always"}

    def __init__(
        self,
        tokenizer: Tokenizer = tokenizers.BYTES,
        pair: bool = False,
        baselines: corpora.Baselines | None = None,
    ):
        self._tokenizer = tokenizer
        self._baselines = baselines
        self.references = {**type(self).references, **(baselines.labels if baselines else {})}
        self._inputs = text_pairs.INPUTS if pair else text_pairs.INPUTS[:2]

    @classmethod
    def check(cls, config: ConfigDict) -> None:
        data, model = config.data, config.model
        tokenizer = tokenizers.from_config(data)
        if corpora.SOURCES[data.name].has_text:
            rule = f"must be at least {tokenizer.vocabulary_size} (the ids of `config.data.tokens`, {data.tokens!r})"
            check(config, "model.vocabulary_size", rule, lambda value: value >= tokenizer.vocabulary_size)
        rule = "must be 'padded' where `config.task` is 'classification': each text is a row"
        check(config, "data.layout", rule, lambda value: value == "padded")
        for name, default in (("data.separate_documents", False), ("data.train_windows", 0)):
            rule = f"must be {default!r} where `config.task` is 'classification', which does not use it"
            check(config, name, rule, default.__eq__)
        if model.get("num_classes") is None:
            raise ValueError(
                f"`config.model` must have `num_classes`, the number of labels. Received: {', '.join(sorted(model))}"
            )
        if data.labels:
            _check_classes(config, data.labels)
        if data.name == "labelled_text":
            _check_pair(config, bool(data.pair_key), f"`config.data.pair_key` is {data.pair_key!r}")
        if model.get("causal", False) and model.get("pooling", "first") == "first":
            raise ValueError(
                "`config.model.pooling` must be 'last' or 'mean' where `config.model.causal` is True, because the "
                "first token sees no other. Received: 'first'"
            )

    @classmethod
    def from_config(cls, config: ConfigDict) -> Self:
        baselines = corpora.SOURCES[config.data.name].baselines
        return cls(tokenizers.from_config(config.data), config.model.get("pair", False), baselines)

    def check_documents(self, config: ConfigDict, documents: LabelledDocuments) -> None:
        for part in (documents.documents, documents.pairs):
            super().check_documents(config, part)

    def examples(self, config: ConfigDict, documents: Any, count: int = 0) -> LabelledExamples:
        _check_classes(config, documents.label_names)
        rule = f"must be empty or {documents.label_names!r}, the labels of `config.data.name`, {config.data.name!r}"
        check(config, "data.labels", rule, lambda value: tuple(value) in ((), documents.label_names))
        single = "has single documents" if documents.pairs is None else "has pairs"
        _check_pair(config, documents.pairs is not None, f"the source {config.data.name!r} {single}")
        return LabelledExamples(documents, self._tokenizer, config.train.sequence_length, config.data.length_buckets)

    def signature(self, config: ConfigDict) -> tuple[tf.TensorSpec, ...]:
        rows = config.train.batch_size
        shape = [rows, config.train.sequence_length]
        one = (tf.TensorSpec(shape, tf.int32), tf.TensorSpec(shape, tf.bool))
        return (*one * (len(self._inputs) // 2), tf.TensorSpec([rows], tf.int32))

    def ids(self, batch: Batch) -> np.ndarray:
        return np.concatenate(self._ids_by_text(batch))

    def request(self, batch: Batch, longest: int) -> dict[str, np.ndarray]:
        parts = self._ids_by_text(batch)
        return {name: ids[None, :longest] for name, ids in zip(("ids", "ids_pair"), parts, strict=False)}

    def _ids_by_text(self, batch: Batch) -> list[np.ndarray]:
        """The ids without padding of all first texts, and of all second texts."""
        return [ids.numpy()[mask.numpy()] for ids, mask in zip(batch[:-1:2], batch[1:-1:2], strict=True)]

    def counts(self, batch: Batch) -> Sums:
        tokens = tf.add_n([averages.count(mask) for mask in batch[1:-1:2]])
        return {"tokens": tokens, "examples": averages.count(_real(batch))}

    def losses(self, model: keras.Model, batch: Batch, training: bool, seed: tf.Tensor | None = None) -> Sums:
        *rows, labels = batch
        inputs = dict(zip(self._inputs, rows, strict=True))
        logits = model(inputs, seed=seed, training=training)
        real, labels = _real(batch), tf.maximum(labels, 0)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        right = tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), labels)
        # Ids outside the vocabulary have vectors like others; the loss says that they are there.
        return {
            "loss": tf.reduce_sum(tf.where(real, losses, 0.0)) + model.nan_unless_known(inputs),
            "correct": averages.count(right & real),
        }

    def metrics(self, sums: Mapping[str, float]) -> dict[str, float]:
        return {"accuracy": averages.fraction(sums["correct"], sums["examples"])}

    def refer(self, corpus: corpora.Corpus) -> dict[str, float]:
        labels = corpus.validation.labels
        majority = {"majority_accuracy": float(np.bincount(labels).max() / len(labels))}
        return {**majority, **(self._baselines.compute(corpus) if self._baselines else {})}

    def sample(self, model: keras.Model, config: ConfigDict, examples: Any) -> str:
        has_text = corpora.SOURCES[config.data.name].has_text
        return label_sample.describe(model, examples, self._tokenizer if has_text else None)

    def export_options(self, config: ConfigDict, sentencepiece: bool) -> dict[str, Any]:
        tokenizer = tokenizers.for_export(config.data, sentencepiece)
        has_text = corpora.SOURCES[config.data.name].has_text
        return {"tokenizer": tokenizer if has_text else None, "labels": tuple(config.data.labels)}


def _check_classes(config: ConfigDict, labels: tuple[str, ...]) -> None:
    rule = f"must be {len(labels)}, the number of labels: {', '.join(labels)}"
    check(config, "model.num_classes", rule, lambda value: value == len(labels))


def _check_pair(config: ConfigDict, has_pairs: bool, because: str) -> None:
    if config.model.get("pair", False) != has_pairs:
        raise ValueError(
            f"`config.model.pair` must be {has_pairs}, because {because}. Received: {config.model.get('pair', False)}"
        )


def _real(batch: Batch) -> tf.Tensor:
    """Whether a row is an example, `[B]`, and not one that fills the last batch of an evaluation up."""
    return tf.reduce_any(batch[1], axis=1)
