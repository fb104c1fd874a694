"""Evaluation: loss and bits per byte of a model over a finite set of examples."""

import math
from collections.abc import Callable

import keras
import tensorflow as tf

from reformer_tf.tokenizers import Tokenizer
from trainer import exits
from trainer.data import datasets, segments
from trainer.data.examples import Examples
from trainer.data.sharding import Shard
from trainer.data.tokenizers import BYTES
from trainer.distribution import dispatch
from trainer.training import gradients


class Evaluation:
    """Evaluates a model on all examples of a set, in a fixed sequence and without randomness.

    Args:
        model: Has `token_losses`.
        strategy: Strategy whose replicas compute.
        examples: The examples.
        batch_size: Rows of a batch of all replicas together.
        jit_compile: Whether XLA compiles the forward pass; on a TPU it always does.
        tokenizer: Tokenizer of the ids.
        separate_documents: Whether tokens attend only to those of their own document.
    """

    def __init__(
        self,
        model: keras.Model,
        strategy: tf.distribute.Strategy,
        examples: Examples,
        batch_size: int,
        jit_compile: bool = False,
        tokenizer: Tokenizer = BYTES,
        separate_documents: bool = False,
    ):
        self._tokenizer = tokenizer
        self._separate_documents = separate_documents
        self._model = model
        self._strategy = strategy
        self._dispatch = dispatch.make_dispatch(strategy)
        self._examples = examples
        self._batch_size = batch_size
        # A TPUStrategy compiles its functions, and accepts none that are compiled already.
        compiled = jit_compile and not isinstance(strategy, tf.distribute.TPUStrategy)
        self._sums = tf.function(self._local_sums, jit_compile=compiled or None, autograph=False)

    def run(self, stop_requested: Callable[[], bool] = lambda: False) -> dict[str, float]:
        """Evaluates the model with its current weights.

        Args:
            stop_requested: Called before each batch; once it is true in any process, all of them stop.

        Returns:
            `loss` (nats a token), `bits_per_byte` (over the targets that stand for bytes), `tokens` and `bytes` (the
            number of targets, and of bytes that they stand for).

        Raises:
            exits.Stopped: If a stop was requested.
        """
        totals = [0.0] * 4
        for ids, mask in self._dispatch.batches(self._dataset):
            wanted = tf.constant(float(stop_requested()))
            *sums, stops = self._dispatch.start(self._batch_sums, ids, mask, wanted)()
            if float(stops):
                raise exits.Stopped
            totals = [total + float(part) for total, part in zip(totals, sums, strict=True)]
        nats, byte_nats, tokens, byte_count = totals
        bits = byte_nats / byte_count / math.log(2.0) if byte_count else math.nan
        return {"loss": nats / tokens, "bits_per_byte": bits, "tokens": int(tokens), "bytes": int(byte_count)}

    def _dataset(self, shard: Shard) -> tf.data.Dataset:
        return datasets.validation_dataset(self._examples, self._batch_size, shard)

    @tf.function(autograph=False)
    def _batch_sums(self, ids: tf.Tensor, mask: tf.Tensor, stop: tf.Tensor) -> list[tf.Tensor]:
        sums = self._strategy.run(self._replica_sums, args=(ids, mask, stop))
        return [self._strategy.experimental_local_results(part)[0] for part in sums]

    def _replica_sums(self, ids: tf.Tensor, mask: tf.Tensor, stop: tf.Tensor) -> list[tf.Tensor]:
        """Sums over all replicas, in the context of one."""
        parts = [*self._sums(ids, mask), tf.identity(stop)]
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, parts)

    def _local_sums(self, ids: tf.Tensor, mask: tf.Tensor) -> list[tf.Tensor]:
        options = segments.call_options(ids, self._tokenizer, self._separate_documents)
        losses = self._model.token_losses(ids, mask=mask, training=False, **options)
        return [
            *gradients.sum_losses(losses, ids, self._tokenizer),
            *gradients.count_targets(ids, mask, self._tokenizer),
        ]
