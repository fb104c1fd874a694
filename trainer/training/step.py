"""One training step on all replicas: gradients, their sum over the replicas, clipping, one update.

Shape letters: B rows of the global batch, b rows of a replica, L sequence length.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from reformer_tf.ops.execution import compiled_functions
from trainer.tasks import Batch, LanguageModel, Sums, Task
from trainer.training import gradients


class StepResult(NamedTuple):
    """Results of a step, all scalars."""

    loss: tf.Tensor
    """Mean loss over the targets of the global batch, before the update, in nats; 0 without any. float32."""
    sums: Sums
    """What the task counts and sums over the global batch, by name. float32."""
    gradient_norm: tf.Tensor
    """Global norm of the summed gradient, before clipping. float32."""
    learning_rate: tf.Tensor
    """Learning rate of this update. float32."""
    applied: tf.Tensor
    """Whether the update was made; if loss or gradient is not finite, no variable changes. bool."""

    def mean_loss(self, task: Task) -> float:
        """Returns the loss for people; not a number where the batch had no targets of the task."""
        return float(self.loss) if float(self.sums[task.targets]) else math.nan


class TrainStep:
    """A training step as one graph.

    Each replica computes its part of the gradient of the mean loss over the valid targets of the *global* batch; the
    parts are summed over the replicas, the sum is clipped by its global norm, and every replica makes the same update.

    Args:
        model: A model of the task, made in the scope of `strategy`.
        optimizer: Built for the model; takes gradients that are summed already.
        strategy: Strategy whose replicas compute.
        accumulation_steps: Number of parts of a replica's rows, which are computed one after another.
        clip_norm: Largest global norm of a gradient; 0 for no limit.
        jit_compile: Whether XLA compiles forward and backward of a replica.
        compile_whole: Whether XLA compiles the whole step as one program, with the sum over the replicas, clipping and
            update. Always so on a TPU; elsewhere only possible with one replica.
        task: Says what a batch is and what is summed.

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
        task: Task | None = None,
    ):
        self._task = task or LanguageModel()
        self._variables = model.trainable_variables
        self._optimizer = optimizer
        self._strategy = strategy
        self._clip_norm = clip_norm
        whole = compile_whole or isinstance(strategy, tf.distribute.TPUStrategy)
        self._local = tf.function(
            gradients.LocalGradients(model, self._task, accumulation_steps),
            jit_compile=(jit_compile and not whole) or None,
            autograph=False,
        )
        self.run_whole = self._compile_step() if whole else None

    @tf.function(autograph=False)
    def __call__(self, batch: Batch, seed: tf.Tensor, loss_scale: tf.Tensor | None = None) -> StepResult:
        """Makes one update, unless the loss or the gradient is not finite.

        Args:
            batch: A batch of the task, tensors `[B, ...]`, distributed over the replicas.
            seed: `[2]` int32, (base, step).
            loss_scale: Scalar float32, a power of two that the loss is multiplied by and its summed gradient divided
                by, for float16. If None, neither is done.

        Returns:
            The results of the step, the same in all replicas.
        """
        arguments = (batch, seed, loss_scale)
        if self.run_whole is not None:
            return self._of_one_replica(self.run_whole(*arguments))
        result, summed = self._strategy.run(self._gradients, args=arguments)
        result = self._of_one_replica(result)

        def apply() -> tf.Tensor:
            self._strategy.run(self._apply, args=(summed,))
            return tf.constant(True)

        return result._replace(applied=tf.cond(result.applied, apply, lambda: tf.constant(False)))

    def _of_one_replica(self, result: StepResult) -> StepResult:
        """Takes what is the same in all replicas from one."""
        return tf.nest.map_structure(lambda value: self._strategy.experimental_local_results(value)[0], result)

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

        def run(*arguments: Any) -> StepResult:
            return self._strategy.run(self._replica_step, args=arguments, options=static)

        return run if on_tpu else tf.function(run, jit_compile=True, autograph=False)

    def _replica_step(self, *arguments: Any) -> StepResult:
        """Runs the step in the context of a replica: its gradient and, if that is finite, the update."""
        with compiled_functions.compiled_as_a_whole():
            result, summed = self._gradients(*arguments)

        def apply() -> tf.Tensor:
            self._apply(summed)
            return tf.constant(True)

        return result._replace(applied=tf.cond(result.applied, apply, lambda: tf.constant(False)))

    def _gradients(
        self, batch: Batch, seed: tf.Tensor, loss_scale: tf.Tensor | None = None
    ) -> tuple[StepResult, list[tf.Tensor]]:
        """Computes the clipped gradient of the global batch, in the context of a replica."""
        replica = tf.distribute.get_replica_context()
        counts = _sum_over_replicas(replica, self._task.counts(batch))
        first_row = replica.replica_id_in_sync_group * tf.shape(batch[0])[0]
        weight = tf.math.divide_no_nan(1.0, counts[self._task.targets])
        if loss_scale is not None:
            weight *= loss_scale
        nats, sums, summed = _sum_over_replicas(replica, self._local(batch, seed, first_row, weight))
        if loss_scale is not None:
            # An overflow in one replica makes the sum not finite, so that all replicas skip the step.
            nats, *summed = [value / tf.cast(loss_scale, value.dtype) for value in (nats, *summed)]
        norm = tf.linalg.global_norm(summed)
        if self._clip_norm:
            shrink = self._clip_norm / tf.maximum(norm, self._clip_norm)
            summed = [gradient * tf.cast(shrink, gradient.dtype) for gradient in summed]
        finite = tf.math.is_finite(nats) & tf.math.is_finite(norm)
        rate = tf.cast(self._optimizer.learning_rate, tf.float32)
        return StepResult(nats, {**counts, **sums}, norm, rate, finite), summed

    def _apply(self, summed: list[tf.Tensor]) -> None:
        self._optimizer.apply(summed, self._variables)


def _sum_over_replicas(replica: tf.distribute.ReplicaContext, values: Any) -> Any:
    """Sums tensors over the replicas, in any structure."""
    summed = replica.all_reduce(tf.distribute.ReduceOp.SUM, tf.nest.flatten(values))
    return tf.nest.pack_sequence_as(values, summed)
