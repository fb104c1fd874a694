"""Base of the models with a loss of their own: `compile(optimizer)` without a loss is enough to train them."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from reformer_tf.models import row_metrics
from reformer_tf.models.trainable_model import TrainableModel


class Scored(NamedTuple):
    """The targets of a batch, with their losses.

    Attributes:
        losses: float32 of any shape, nats.
        weights: of the same shape: the weight of each loss in the mean, zero if it does not count.
        rows: the targets as metrics need them, one entry for each output of the model, sorted by its name.
    """

    losses: tf.Tensor
    weights: tf.Tensor
    rows: Sequence[row_metrics.Rows]


class OwnLossModel(TrainableModel):
    """Base of the models that train by a loss of their own unless `compile` gets one.

    The loss of a batch is the weighted mean over all targets that count, across replicas. The metrics of `compile` are
    updated with the same targets: `metrics` without the user's weights, `weighted_metrics` with them.

    A subclass implements `scored`, `check_own_data` and `classes`.
    """

    def scored(self, inputs: dict[str, Any], y: Any, sample_weight: Any, training: bool) -> Scored:
        """Scores the targets of a batch.

        Args:
            inputs: the inputs by name, as `named_inputs` returns them.
            y: the targets of `fit`.
            sample_weight: the weights of `fit`.
            training: whether this is a training call.
        """
        raise NotImplementedError

    def check_own_data(self, x: Any, y: Any, sample_weight: Any) -> None:
        """Checks the data of `fit` (arrays, tensors or their specs) where `compile` got no loss.

        Raises:
            ValueError: for data that are missing or would not be used.
        """
        raise NotImplementedError

    def classes(self) -> dict[str, int | None] | int | None:
        """How many scores a target has, by output; see `row_metrics.build`."""
        raise NotImplementedError

    def check_data(self, x: Any, y: Any, sample_weight: Any) -> None:
        super().check_data(x, y, sample_weight)
        if self._compile_loss is None:
            self.check_own_data(x, y, sample_weight)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Keras' `compile`. Without a loss the model trains by its own.

        Raises:
            ValueError: for `loss_weights` without a loss, and metrics that cannot be updated a few rows at a time.
        """
        super().compile(*args, **kwargs)
        if self._compile_loss is None and self._compile_metrics is not None:
            with self.distribute_strategy.scope():
                row_metrics.build(self._compile_metrics, self.classes())

    def batch_loss(self, data: Any, training: bool) -> tuple[tf.Tensor, Callable[[], dict[str, Any]]]:
        """The loss of a batch: the model's own, unless it was compiled with another. See `TrainableModel`."""
        if self._compile_loss is not None:
            return super().batch_loss(data, training)
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        self.check_data(x, y, sample_weight)
        inputs = self.named_inputs(x)
        scored = self.scored(inputs, y, sample_weight, training)
        total, weight = tf.reduce_sum(scored.losses * scored.weights), tf.reduce_sum(scored.weights)
        replica = tf.distribute.get_replica_context()
        # Added to the mean: losses of weights, and NaN for ids outside the vocabulary, whether or not tokens see them.
        others = tf.add_n([self.nan_unless_known(inputs), *(tf.cast(loss, tf.float32) for loss in self.losses)])
        others = tf.cast(others, total.dtype)
        # Replicas' gradients are summed, so each divides by the weight of all replicas, however uneven the weights.
        global_weight = replica.all_reduce("sum", weight)
        loss = tf.math.divide_no_nan(total, global_weight) + others / replica.num_replicas_in_sync

        def report() -> dict[str, Any]:
            mean = tf.math.divide_no_nan(total, weight) + others
            self._loss_tracker.update_state(mean, sample_weight=weight)
            if self._compile_metrics is not None:
                row_metrics.update(self._compile_metrics, scored.rows, tf.math.is_finite(mean))
            return self.get_metrics_result()

        return loss, report
