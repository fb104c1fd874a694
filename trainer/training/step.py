"""One training step on all replicas: gradients, their sum over the replicas, clipping, one update.

Shape letters: B rows of the global batch, b rows of a replica, L sequence length.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from reformer_tf.ops.execution import compiled_functions
from reformer_tf.tokenizers import Tokenizer
from trainer.data.tokenizers import BYTES
from trainer.training import gradients


class StepResult(NamedTuple):
    """Results of a step, all scalars."""

    loss: tf.Tensor
    """Nats a token over the global batch, before the update. float32."""
    tokens: tf.Tensor
    """Targets in the global batch. float32."""
    bits_per_byte: tf.Tensor
    """Bits per byte of the targets that stand for bytes. float32."""
    gradient_norm: tf.Tensor
    """Global norm of the summed gradient, before clipping. float32."""
    learning_rate: tf.Tensor
    """Learning rate of this update. float32."""
    applied: tf.Tensor
    """Whether the update was made; if loss or gradient is not finite, no variable changes. bool."""


class TrainStep:
    """A training step as one graph.

    Each replica computes its part of the gradient of the mean loss over the valid targets of the *global* batch; the
    parts are summed over the replicas, the sum is clipped by its global norm, and every replica makes the same update.

    Args:
        model: Has `token_losses` and `trainable_variables`, made in the scope of `strategy`.
        optimizer: Built for the model; takes gradients that are summed already.
        strategy: Strategy whose replicas compute.
        accumulation_steps: Number of parts of a replica's rows, which are computed one after another.
        clip_norm: Largest global norm of a gradient; 0 for no limit.
        jit_compile: Whether XLA compiles forward and backward of a replica.
        compile_whole: Whether XLA compiles the whole step as one program, with the sum over the replicas, clipping and
            update. Always so on a TPU; elsewhere only possible with one replica.
        tokenizer: Tokenizer of the ids.
        separate_documents: Whether tokens attend only to those of their own document.

    Attributes:
        run_whole: The compiled function of a batch with `compile_whole`, else None.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        strategy: tf.distribute.Strategy,
        *,
        accumulation_steps: int = 1,
        clip_norm: float = 0.0,
        jit_compile: bool = False,
        compile_whole: bool = False,
        tokenizer: Tokenizer = BYTES,
        separate_documents: bool = False,
    ):
        self._tokenizer = tokenizer
        self._variables = model.trainable_variables
        self._optimizer = optimizer
        self._strategy = strategy
        self._clip_norm = clip_norm
        whole = compile_whole or isinstance(strategy, tf.distribute.TPUStrategy)
        self._local = tf.function(
            gradients.LocalGradients(model, accumulation_steps, tokenizer, separate_documents),
            jit_compile=(jit_compile and not whole) or None,
            autograph=False,
        )
        self.run_whole = self._compile_step() if whole else None

    @tf.function(autograph=False)
    def __call__(
        self, ids: tf.Tensor, mask: tf.Tensor, seed: tf.Tensor, loss_scale: tf.Tensor | None = None
    ) -> StepResult:
        """Makes one update, unless the loss or the gradient is not finite.

        Args:
            ids: `[B, L + 1]` int32, distributed over the replicas.
            mask: `[B, L + 1]` bool, True for real tokens.
            seed: `[2]` int32, (base, step).
            loss_scale: Scalar float32, a power of two that the loss is multiplied by and its summed gradient divided
                by, for float16. If None, neither is done.

        Returns:
            The results of the step, the same in all replicas.
        """
        batch = (ids, mask, seed, loss_scale)
        if self.run_whole is not None:
            whole = self.run_whole(*batch)
            return StepResult(*(self._strategy.experimental_local_results(value)[0] for value in whole))
        result, summed = self._strategy.run(self._gradients, args=batch)
        result = StepResult(*(self._strategy.experimental_local_results(value)[0] for value in result))

        def apply() -> tf.Tensor:
            self._strategy.run(self._apply, args=(summed,))
            return tf.constant(True)

        return result._replace(applied=tf.cond(result.applied, apply, lambda: tf.constant(False)))

    def _compile_step(self) -> Callable[..., StepResult]:
        """Makes the compiled function that runs the whole step in every replica."""
        on_tpu = isinstance(self._strategy, tf.distribute.TPUStrategy)
        if not on_tpu and self._strategy.num_replicas_in_sync > 1:
            raise ValueError(
                "`compile_whole` must be False where a strategy other than TPUStrategy has several replicas: XLA would "
                f"have to compile their exchange. Received: {self._strategy.num_replicas_in_sync} replicas of "
                f"{type(self._strategy).__name__}"
            )
        static = tf.distribute.RunOptions(experimental_enable_dynamic_batch_size=False)

        def run(*batch: Any) -> StepResult:
            return self._strategy.run(self._replica_step, args=batch, options=static)

        return run if on_tpu else tf.function(run, jit_compile=True, autograph=False)

    def _replica_step(self, *batch: Any) -> StepResult:
        """Runs the step in the context of a replica: its gradient and, if that is finite, the update."""
        with compiled_functions.compiled_as_a_whole():
            result, summed = self._gradients(*batch)

        def apply() -> tf.Tensor:
            self._apply(summed)
            return tf.constant(True)

        return result._replace(applied=tf.cond(result.applied, apply, lambda: tf.constant(False)))

    def _gradients(
        self, ids: tf.Tensor, mask: tf.Tensor, seed: tf.Tensor, loss_scale: tf.Tensor | None = None
    ) -> tuple[StepResult, list[tf.Tensor]]:
        """Computes the clipped gradient of the global batch, in the context of a replica."""
        replica = tf.distribute.get_replica_context()
        targets = gradients.count_targets(ids, mask, self._tokenizer)
        tokens, byte_count = replica.all_reduce(tf.distribute.ReduceOp.SUM, targets)
        first_row = replica.replica_id_in_sync_group * tf.shape(ids)[0]
        weight = tf.math.divide_no_nan(1.0, tokens)
        if loss_scale is not None:
            weight *= loss_scale
        nats, byte_nats, parts = self._local(ids, mask, seed, first_row, weight)
        nats, byte_nats, *summed = replica.all_reduce(tf.distribute.ReduceOp.SUM, [nats, byte_nats, *parts])
        if loss_scale is not None:
            # An overflow in one replica makes the sum not finite, so that all replicas skip the step.
            nats, *summed = [value / tf.cast(loss_scale, value.dtype) for value in (nats, *summed)]
        norm = tf.linalg.global_norm(summed)
        if self._clip_norm:
            shrink = self._clip_norm / tf.maximum(norm, self._clip_norm)
            summed = [gradient * tf.cast(shrink, gradient.dtype) for gradient in summed]
        bits = tf.math.divide_no_nan(byte_nats, byte_count) / tf.math.log(2.0)
        finite = tf.math.is_finite(nats) & tf.math.is_finite(norm)
        rate = tf.cast(self._optimizer.learning_rate, tf.float32)
        return StepResult(nats, tokens, bits, norm, rate, finite), summed

    def _apply(self, summed: list[tf.Tensor]) -> None:
        self._optimizer.apply(summed, self._variables)
