"""Base of all models with a head: how they are compiled, seeded and trained, whatever their inputs are."""

import inspect
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from reformer_tf.layers.checked_inputs import CheckedInputs
from reformer_tf.layers.seed_state import SavesSeedState
from reformer_tf.models import fit_data, skipped_updates
from reformer_tf.models.fine_tuning import FineTuned
from reformer_tf.ops import seeds

_COMPILE = inspect.signature(keras.Model.compile)


class TrainableModel(CheckedInputs, SavesSeedState, FineTuned, keras.Model):
    """Base of the models with a head, subclasses of `keras.Model` that train by steps of their own.

    Args:
        seed: non-negative integer, of the generator that seeds training calls without a seed.
        **kwargs: see `keras.Model`.
    """

    def __init__(self, seed: int, **kwargs: Any):
        super().__init__(**kwargs)
        self._register_call_context_args("seed")
        self.supports_masking = True
        self.seed_generator = keras.random.SeedGenerator(seed)

    def named_inputs(self, x: Any) -> dict[str, Any]:
        """The inputs of a model by name, as a dict of tensors, whose values may be None.

        Raises:
            ValueError: for inputs that the model does not take.
        """
        raise NotImplementedError

    def resolve_seed(self, seed: Any, training: bool | None, ids: tf.Tensor) -> tf.Tensor | None:
        """The seed `[3]` of a training call, drawn from the model's generator if `seed` is None; otherwise None."""
        if not training:
            return None
        if seed is None:
            seed = tf.cast(self.seed_generator.next(), tf.int32)
        return seeds.with_row_offset(seed, tf.shape(ids)[0])

    # Whether a row has a class, by which Keras looks up `class_weight`.
    takes_class_weight = False

    def check_data(self, x: Any, y: Any, sample_weight: Any) -> None:
        """Checks the data of `fit`, or their specs; see `fit_data`.

        Raises:
            ValueError: for data that are missing or would not be used.
        """
        if y is None and self._compile_loss is not None:
            raise ValueError("y must be given where compile has a loss: it takes targets. Received: y=None")

    fit = fit_data.checked(keras.Model.fit)
    evaluate = fit_data.checked(keras.Model.evaluate)
    train_on_batch = fit_data.checked(keras.Model.train_on_batch)
    test_on_batch = fit_data.checked(keras.Model.test_on_batch)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Keras' `compile`.

        Raises:
            ValueError: for `loss_weights` without a loss.
        """
        bound = _COMPILE.bind(self, *args, **kwargs).arguments
        if bound.get("loss_weights") is not None and bound.get("loss") is None:
            raise ValueError(
                f"loss_weights must be left out without a loss. Received: loss_weights={bound['loss_weights']}"
            )
        # Keras would keep the loss and metrics of an earlier call.
        self._compile_loss = self._compile_metrics = self.loss = None
        super().compile(*args, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles a loaded model, as Keras does for models that do not override `compile`."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None:
            self.optimizer.build(self.trainable_variables)

    def train_step(self, data: Any) -> dict[str, Any]:
        """Keras' training step. A batch whose loss is not finite changes no weight and no state of the optimizer."""
        if self.optimizer is None:
            raise ValueError("optimizer must be given to compile to train. Received: optimizer=None")
        variables = self.trainable_variables
        with seeds.counting_updates(self.optimizer.iterations):
            with tf.GradientTape() as tape:
                loss, report = self.batch_loss(data, training=True)
                scaled = self.optimizer.scale_loss(loss)
            gradients = tape.gradient(scaled, variables)
        logs = report()  # before the update, so that they are of the same weights as the loss
        skipped_updates.apply_if_finite(self.optimizer, loss, gradients, variables)
        return logs

    def test_step(self, data: Any) -> dict[str, Any]:
        """Keras' evaluation step."""
        return self.batch_loss(data, training=False)[1]()

    def batch_loss(self, data: Any, training: bool) -> tuple[tf.Tensor, Callable[[], dict[str, Any]]]:
        """The loss of a batch, by default the loss of `compile`.

        Args:
            data: the batch that `fit` passes to a step.
            training: whether this is a training call.

        Returns:
            This replica's part of the loss, a scalar; and a function that updates all metrics, the loss included, and
            returns their values.
        """
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        self.check_data(x, y, sample_weight)
        outputs = self(x, training=training)
        loss = self.compute_loss(x=x, y=y, y_pred=outputs, sample_weight=sample_weight, training=training)

        def report() -> dict[str, Any]:
            replicas = tf.distribute.get_strategy().num_replicas_in_sync
            self._loss_tracker.update_state(loss * replicas, sample_weight=tf.shape(keras.tree.flatten(x)[0])[0])
            return self.compute_metrics(x, y, outputs, sample_weight=sample_weight)

        return loss, report

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> tf.Tensor:
        """Keras' loss; in a graph it is NaN for ids outside the vocabulary, whether or not a scored token sees them."""
        loss = super().compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training)
        return loss if x is None else loss + tf.cast(self.nan_unless_known(x), loss.dtype)

    def nan_unless_known(self, inputs: Any) -> tf.Tensor:
        """float32 scalar: 0, or NaN if some id outside the vocabulary is not masked (or the input is too long).

        Raises:
            ValueError: in eager mode, for such ids.
        """
        raise NotImplementedError

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        # Tracing the call checks the inputs and gives the dtypes.
        return keras.Operation.compute_output_spec(self, *args, **kwargs)
