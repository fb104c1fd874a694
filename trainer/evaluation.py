"""Loss and bits per byte of a model over a finite set of windows."""

import math

import keras
import tensorflow as tf

from trainer import gradients, input, windows
from trainer.tokens import BYTES, Tokens


class Evaluation:
    """Evaluates a model on all windows of a set, in a fixed order and without randomness.

    Args:
        model: Has `token_losses`.
        strategy: Where to compute.
        documents: Windows to predict.
        batch_size: Rows at a time, of all replicas together.
        jit_compile: Whether XLA compiles the forward pass; on a TPU it always does.
        tokens: The scheme of the ids.
    """

    def __init__(
        self,
        model: keras.Model,
        strategy: tf.distribute.Strategy,
        documents: windows.Windows,
        batch_size: int,
        jit_compile: bool = False,
        tokens: Tokens = BYTES,
    ):
        self._tokens = tokens
        self._model = model
        self._strategy = strategy
        self._batches = strategy.experimental_distribute_dataset(input.validation_dataset(documents, batch_size))
        # A TPUStrategy compiles what it runs, and takes nothing that is compiled already.
        compiled = jit_compile and not isinstance(strategy, tf.distribute.TPUStrategy)
        self._sums = tf.function(self._local_sums, jit_compile=compiled or None, autograph=False)

    def run(self) -> dict[str, float]:
        """Evaluates with the model's weights of now.

        Returns:
            `loss` (nats a token), `bits_per_byte` (over the targets that stand for bytes), `tokens` and `bytes` (the
            number of targets, and of bytes that they stand for).
        """
        totals = [0.0] * 4
        for ids, mask in self._batches:
            sums = self._batch_sums(ids, mask)
            totals = [total + float(part) for total, part in zip(totals, sums, strict=True)]
        nats, byte_nats, tokens, byte_count = totals
        bits = byte_nats / byte_count / math.log(2.0) if byte_count else math.nan
        return {"loss": nats / tokens, "bits_per_byte": bits, "tokens": int(tokens), "bytes": int(byte_count)}

    @tf.function(autograph=False)
    def _batch_sums(self, ids: tf.Tensor, mask: tf.Tensor) -> list[tf.Tensor]:
        sums = self._strategy.run(self._sums, args=(ids, mask))
        return [self._strategy.reduce(tf.distribute.ReduceOp.SUM, part, axis=None) for part in sums]

    def _local_sums(self, ids: tf.Tensor, mask: tf.Tensor) -> list[tf.Tensor]:
        losses = self._model.token_losses(ids, mask=mask, training=False)
        return [
            *gradients.sum_losses(losses, ids, self._tokens),
            *gradients.count_targets(ids, mask, self._tokens),
        ]
