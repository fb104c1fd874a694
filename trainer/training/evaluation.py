"""Evaluation: loss and metrics of a model over a finite set of examples."""

import collections
import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from trainer import exits
from trainer.data import datasets
from trainer.data.example_set import ExampleSet
from trainer.data.sharding import Shard
from trainer.distribution import dispatch
from trainer.distribution.process_group import ProcessGroup
from trainer.tasks import Batch, LanguageModel, Sums, Task
from trainer.training.generated_metrics import GeneratedMetrics


class Evaluation:
    """Evaluates a model on all examples of a set, in a fixed sequence and without randomness.

    Args:
        model: A model of the task.
        strategy: Strategy whose replicas compute.
        examples: The examples.
        batch_size: Rows of a batch of all replicas together.
        jit_compile: Whether XLA compiles the forward pass; on a TPU it always does.
        task: Says what is summed, and which metrics follow.
        group: The processes that evaluate together; None for a single one.

    Attributes:
        generated: Metrics of what the model generates, computed after the sums; None if the task has none.
    """

    def __init__(
        self,
        model: keras.Model,
        strategy: tf.distribute.Strategy,
        examples: ExampleSet,
        batch_size: int,
        jit_compile: bool = False,
        task: Task | None = None,
        group: ProcessGroup | None = None,
    ):
        self._task = task or LanguageModel()
        self._model = model
        self._strategy = strategy
        self._dispatch = dispatch.make_dispatch(strategy)
        self._examples = examples
        self._batch_size = batch_size
        # A TPUStrategy compiles its functions, and accepts none that are compiled already.
        compiled = jit_compile and not isinstance(strategy, tf.distribute.TPUStrategy)
        chosen = self._task.generated_examples(examples)
        self.generated = (
            None if chosen is None else GeneratedMetrics(self._task, model, strategy, chosen, batch_size, group)
        )
        self._sums = tf.function(self._local_sums, jit_compile=compiled or None, autograph=False)

    def run(self, stop_requested: Callable[[], bool] = lambda: False) -> dict[str, float]:
        """Evaluates the model with its current weights.

        Args:
            stop_requested: Called before each batch; once it is true in any process, all of them stop.

        Returns:
            `loss` (nats, the mean over the targets; not a number without any), the metrics of the task, and what it
            counts, as integers.

        Raises:
            exits.Stopped: If a stop was requested.
        """
        scores = self.score(stop_requested)
        return scores if self.generated is None else {**scores, **self.generated.run(stop_requested)}

    def score(self, stop_requested: Callable[[], bool] = lambda: False) -> dict[str, float]:
        """Evaluates as `run` does, without metrics of what the model generates."""
        counts: dict[str, float] = collections.defaultdict(float)
        sums: dict[str, float] = collections.defaultdict(float)
        for batch in self._dispatch.batches(self._dataset):
            wanted = tf.constant(float(stop_requested()))
            *found, stops = self._dispatch.start(self._batch_sums, batch, wanted)()
            if float(stops):
                raise exits.Stopped
            for totals, parts in zip((counts, sums), found, strict=True):
                for name, part in parts.items():
                    totals[name] += float(part)
        targets = counts[self._task.targets]
        return {
            "loss": sums["loss"] / targets if targets else math.nan,
            **self._task.metrics({**counts, **sums}),
            **{name: int(count) for name, count in counts.items()},
        }

    def _dataset(self, shard: Shard) -> tf.data.Dataset:
        return datasets.validation_dataset(self._examples, self._batch_size, shard)

    @tf.function(autograph=False)
    def _batch_sums(self, batch: Batch, stop: tf.Tensor) -> Any:
        sums = self._strategy.run(self._replica_sums, args=(batch, stop))
        return tf.nest.map_structure(lambda part: self._strategy.experimental_local_results(part)[0], sums)

    def _replica_sums(self, batch: Batch, stop: tf.Tensor) -> Any:
        """Sums over all replicas, in the context of one."""
        parts = (*self._sums(batch), tf.identity(stop))
        replica = tf.distribute.get_replica_context()
        summed = replica.all_reduce(tf.distribute.ReduceOp.SUM, tf.nest.flatten(parts))
        return tf.nest.pack_sequence_as(parts, summed)

    def _local_sums(self, batch: Batch) -> tuple[Sums, Sums]:
        return self._task.counts(batch), self._task.losses(self._model, batch, training=False)
