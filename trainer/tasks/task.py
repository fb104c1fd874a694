"""What a run trains: the interface between a kind of task and the loop, the steps and the results, which serve all.

Shape letters: B rows of a batch.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import keras
import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from reformer_tf import models
from trainer.data import corpora
from trainer.data.example_set import ExampleSet
from trainer.data.id_documents import IdDocuments
from trainer.field_checks import check

NO_ATTENTION = "_no_attention"
"""What a metric of a model without attention has after its name."""

LESS_IS_BETTER, MORE_IS_BETTER = 1.0, -1.0
"""Directions of a metric, each the sign with which it is a cost."""

Batch = tuple[tf.Tensor, ...]
Sums = dict[str, tf.Tensor]


class Task(abc.ABC):
    """A kind of task: what a batch is, which model is trained, what is summed over a batch, and which metrics follow.

    All numbers of a batch are sums over its rows, so that replicas, parts of a batch and batches of an evaluation add
    up exactly, however uneven they are. What is divided by what is said once, in `metrics`.

    Attributes:
        model_class: Class of the model. `config.model` holds its arguments.
        set_inside: Arguments that the trainer or the model sets, so that `config.model` must not have them.
        passed_on: Classes whose arguments the model takes, too, and passes on to them.
        sizes: Arguments of the model that `config.model` must have: the numbers of ids, and the greatest lengths.
        fixed: Arguments of the backbone that the model sets by itself.
        has_mask: Whether the last id of the model hides others and stands for nothing itself.
        contents: Kinds of documents that it takes, of `trainer.data.corpora.CONTENTS`.
        fields: Fields of the config, such as `sample.prompt`, that only some tasks read, and this is one of them.
        targets: The name in `counts` of what the loss is a mean over.
        unit: What the loss is a mean over, for people: nats a `unit`.
        summed: The names of what `losses` returns in a training call.
        metric_directions: Numbers that `metrics` may return, each with `LESS_IS_BETTER` or `MORE_IS_BETTER`, the same
            in all tasks that have it. An evaluation can stop a run, or be the best, by any of them.
        measure: The one of them that the final report compares.
        references: What the final report sets beside it: names of the numbers of `refer`, with a label for people.
    """

    model_class: ClassVar[type[keras.Model]]
    set_inside: ClassVar[tuple[str, ...]]
    passed_on: ClassVar[tuple[type, ...]] = (models.ReformerBackbone,)
    sizes: ClassVar[tuple[str, ...]] = ("vocabulary_size", "max_sequence_length")
    fixed: ClassVar[dict[str, Any]]
    has_mask: ClassVar[bool] = False
    contents: ClassVar[tuple[str, ...]]
    fields: ClassVar[tuple[str, ...]] = ()
    targets: ClassVar[str]
    unit: ClassVar[str]
    summed: ClassVar[tuple[str, ...]]
    metric_directions: ClassVar[Mapping[str, float]]
    measure: ClassVar[str]
    references: Mapping[str, str]

    @classmethod
    @abc.abstractmethod
    def check(cls, config: ConfigDict) -> None:
        """Checks the rules of this task that can be checked without the data.

        Args:
            config: Config of a run that keeps the rules of all tasks, see `trainer.config_checks`.

        Raises:
            ValueError: If it breaks a rule; the message names the field, the rule and what was received.
        """

    @classmethod
    def check_lengths(cls, config: ConfigDict) -> None:
        """Checks that the model can read examples of the lengths that the config asks for.

        Args:
            config: Config of a run, whose model has the arguments `sizes`.

        Raises:
            ValueError: If a length is out of range.
        """
        longest = config.model.max_sequence_length
        rule = f"must be from 1 to `config.model.max_sequence_length`, {longest}"
        check(config, "train.sequence_length", rule, lambda value: 1 <= value <= longest)

    @classmethod
    def backbones(cls, arguments: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Returns the arguments of each backbone that a model is made of, as `models.ReformerBackbone` names them.

        Args:
            arguments: Those of the model, with all defaults.

        Returns:
            Arguments by the name of the backbone, which is empty for the only one. Where a model has several, its
            argument `NAME_options` holds further ones of one of them.

        Raises:
            KeyError: If an argument is missing.
        """
        return {"": {**arguments, **cls.fixed}}

    @classmethod
    def vocabularies(cls, config: ConfigDict) -> dict[str, int]:
        """Returns the numbers of ids of a model by the names of its arguments; the ids of a batch are below the least.

        Args:
            config: Config of a run.
        """
        return {name: config.model[name] for name in cls.sizes if name.endswith("vocabulary_size")}

    @classmethod
    @abc.abstractmethod
    def from_config(cls, config: ConfigDict) -> Self:
        """Makes the task of a run."""

    def check_documents(self, config: ConfigDict, documents: Any) -> None:
        """Checks documents before they are used: ids must be in the vocabulary of the model, and none its mask.

        Args:
            config: The config of the run.
            documents: A part of a corpus.

        Raises:
            ValueError: If they cannot be used.
        """
        if isinstance(documents, IdDocuments):
            documents.check(config.model.vocabulary_size, self.has_mask)

    @abc.abstractmethod
    def examples(self, config: ConfigDict, documents: Any, count: int = 0) -> ExampleSet:
        """Cuts documents of a corpus into examples, whose `gather` gives the batches of this task.

        Args:
            config: The config of the run.
            documents: The documents.
            count: Number of full examples; 0 for all examples, short ones too.

        Raises:
            ValueError: If there is nothing to cut, or the documents are not of a kind that the task takes.
        """

    def train_examples(self, config: ConfigDict, documents: Any) -> ExampleSet:
        """Cuts documents into the examples that a run trains on: `config.data.train_windows` of them, or all.

        Raises:
            ValueError: As `examples` does, and if there are too few.
        """
        count = config.data.train_windows
        try:
            return self.examples(config, documents, count)
        except ValueError as error:
            if not count:
                raise
            raise ValueError(f"`config.data.train_windows` asks for more than there is: {error}") from error

    def validation_examples(self, config: ConfigDict, documents: Any) -> ExampleSet:
        """Cuts documents into the examples of an evaluation: `config.train.eval_examples` of them, or all.

        Raises:
            ValueError: As `examples` does.
        """
        try:
            return self.examples(config, documents).spread(config.train.eval_examples)
        except ValueError as error:
            raise ValueError(f"`config.data` must give validation documents that can be evaluated: {error}") from error

    @abc.abstractmethod
    def signature(self, config: ConfigDict) -> tuple[tf.TensorSpec, ...]:
        """Returns the shapes and dtypes of a full global batch, for who compiles a step without data.

        Ids of one's own source are taken not to say which of them are targets.
        """

    def ids(self, batch: Batch) -> np.ndarray:
        """Returns the ids of a batch without padding, in one row. A batch begins with ids and their mask."""
        ids, mask, *_ = batch
        return ids.numpy()[mask.numpy()]

    def request(self, batch: Batch, longest: int) -> dict[str, np.ndarray]:
        """Returns a batch of one row as a request for the signature `predict` of the export.

        Args:
            batch: Tensors `[1, ...]`.
            longest: The greatest number of ids.
        """
        return {"ids": self.ids(batch)[None, :longest]}

    @abc.abstractmethod
    def counts(self, batch: Batch) -> Sums:
        """Counts what a batch has, without the model.

        Args:
            batch: Tensors `[B, ...]`.

        Returns:
            float32 scalars: `tokens`, and the number of targets under the name `targets` says, and perhaps more.
        """

    @abc.abstractmethod
    def losses(self, model: keras.Model, batch: Batch, training: bool, seed: tf.Tensor | None = None) -> Sums:
        """Sums losses over a batch.

        Args:
            model: A `model_class`.
            batch: Tensors `[B, ...]`.
            training: Whether this is a training call. An evaluation may sum more than a training step does.
            seed: `[3]` int32, (base, step, row offset) of a training call.

        Returns:
            float32 scalars: `loss` in nats, which is minimised, and perhaps more.
        """

    @abc.abstractmethod
    def metrics(self, sums: Mapping[str, float]) -> dict[str, float]:
        """Computes the metrics beside the loss.

        Args:
            sums: Those of `counts` and `losses` by name, over any number of batches.

        Returns:
            Numbers by name, of `metric_directions`. Not a number where there was nothing to average.
        """

    def generated_examples(self, examples: ExampleSet) -> ExampleSet | None:
        """Chooses the examples for which an evaluation generates outputs; by default none.

        Args:
            examples: All examples of the evaluation.
        """
        return None

    def generated_metrics(
        self, model: keras.Model, examples: ExampleSet, batch_size: int, progress: Callable[[int], None]
    ) -> tuple[dict[str, float], str]:
        """Computes metrics of what the model generates. They are of whole outputs, and no sums over replicas.

        Args:
            model: A `model_class` outside of any strategy.
            examples: Those of `generated_examples`.
            batch_size: Number of examples to generate for at once.
            progress: Called before each batch with the number of examples that are done; it may raise.

        Returns:
            Numbers by name, of `metric_directions`, always the same for the same weights; and how they were computed,
            for people.
        """
        raise NotImplementedError(f"{type(self).__name__} generates nothing in an evaluation.")

    @abc.abstractmethod
    def refer(self, corpus: corpora.Corpus) -> dict[str, float]:
        """Computes what predictions without a model would reach on the validation documents, for the final report.

        Args:
            corpus: The documents of the run.

        Returns:
            Numbers by the names of `references`.
        """

    @abc.abstractmethod
    def sample(self, model: keras.Model, config: ConfigDict, examples: ExampleSet) -> str:
        """Shows people what the model does.

        Args:
            model: A trained model.
            config: The config of the run; `config.sample` says what is asked for.
            examples: The validation examples.

        Returns:
            What comes after `config.sample.prompt`, always the same for the same model.
        """

    @abc.abstractmethod
    def export_options(self, config: ConfigDict, sentencepiece: bool) -> dict[str, Any]:
        """Returns the arguments of `export_saved_model` that decide about the signatures.

        Args:
            config: The config of the run.
            sentencepiece: Whether a SentencePiece run gets the signatures for strings.

        Raises:
            ValueError: If `sentencepiece` is True and the run has another tokenizer.
        """

    @property
    def report_numbers(self) -> tuple[str, ...]:
        """Names of the numbers in the final report."""
        return (*self.references, self.measure, f"{self.measure}{NO_ATTENTION}")
