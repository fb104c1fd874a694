"""Base of the models with a head on a backbone: how they are called, seeded, saved and made from a preset."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import keras
import tensorflow as tf

from reformer_tf.layers import arguments, parts
from reformer_tf.layers.checked_inputs import CheckedInputs
from reformer_tf.layers.seed_state import SavesSeedState
from reformer_tf.models import fit_data, model_arguments, presets, skipped_updates
from reformer_tf.models.backbone import ReformerBackbone
from reformer_tf.models.fine_tuning import FineTuned
from reformer_tf.ops import id_ranges, seeds

_Model = TypeVar("_Model", bound="HeadedModel")
_COMPILE = inspect.signature(keras.Model.compile)
_INPUTS = ("ids", "mask", "segment_ids")


class HeadedModel(CheckedInputs, SavesSeedState, FineTuned, keras.Model):
    """Base of the models that wrap a functional `ReformerBackbone`; a head maps its vectors to the outputs.

    The models are subclasses of `keras.Model` and not functional, so that cloning and loading give the same class. A
    subclass implements `apply_head`, and adds its own arguments to `get_config`.

    Args:
        backbone: the model's backbone.
        seed: non-negative integer, of the generator that seeds training calls without a seed.
        name: of the model.
        trainable: see `keras.Model`.

    Call arguments:
        inputs: integers `[B, L]`; or a dict of `"ids"` and optionally `"mask"` and `"segment_ids"`, the form for `fit`,
            `evaluate` and `predict`. (With several replicas, Keras needs a mask of integers.)
        mask: boolean `[B, L]`, True for real tokens.
        segment_ids: integers `[B, L]`; tokens of different segments do not see each other.
        seed: int32 `[2]` = (base, step) or `[3]` = (base, step, row offset), decides all randomness of a training call.
        training: whether this is a training call.
    """

    def __init__(self, backbone: ReformerBackbone, seed: int, name: str | None, trainable: bool):
        super().__init__(name=name, trainable=trainable, dtype=backbone.policy)
        self._register_call_context_args("segment_ids", "seed")
        self.supports_masking = True
        self.backbone = backbone
        self.seed_generator = keras.random.SeedGenerator(seed)
        # All weights are made in the constructor.
        self.built = True

    def adapted_part(self) -> ReformerBackbone:
        return self.backbone

    def check_inputs(self, inputs: Any) -> None:
        arguments.token_ids("ids", _by_name(inputs)["ids"])

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        segment_ids: tf.Tensor | None = None,
        seed: tf.Tensor | None = None,
        training: bool | None = None,
    ) -> Any:
        if isinstance(mask, dict):
            # Keras' implicit masks of a dict of inputs; a mask in the dict itself takes precedence.
            mask = None if inputs.get("mask") is not None else mask.get("ids")
        inputs = unpacked(inputs, mask, segment_ids)
        ids, mask, segment_ids = (inputs[name] for name in _INPUTS)
        seed = self.resolve_seed(seed, training, ids)
        vectors = self.encode(ids, mask, segment_ids, seed, training)
        return self.apply_head(vectors, mask, seed, training)

    def apply_head(
        self, vectors: tf.Tensor, mask: tf.Tensor | None, seed: tf.Tensor | None, training: bool | None
    ) -> Any:
        """Maps the backbone's vectors to the model's outputs.

        Args:
            vectors: `[B, L, output_dim of the backbone]`.
            mask: boolean or integer `[B, L]`, or None.
            seed: int32 `[3]` if this is a training call.
            training: whether this is a training call.
        """
        raise NotImplementedError

    def resolve_seed(self, seed: Any, training: bool | None, ids: tf.Tensor) -> tf.Tensor | None:
        """The seed `[3]` of a training call, drawn from the model's generator if `seed` is None; otherwise None."""
        if not training:
            return None
        if seed is None:
            seed = tf.cast(self.seed_generator.next(), tf.int32)
        return seeds.with_row_offset(seed, tf.shape(ids)[0])

    def encode(self, ids: tf.Tensor, mask: Any, segment_ids: Any, seed: Any, training: bool | None) -> tf.Tensor:
        """The backbone's vectors."""
        options = {"mask": mask, "segment_ids": segment_ids, "seed": seed, "training": training}
        # If the backbone cast the ids itself, ids beyond int32 would wrap around into the vocabulary.
        return self.backbone(
            id_ranges.int32(ids), **{name: value for name, value in options.items() if value is not None}
        )

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
        inputs = unpacked(inputs)
        return id_ranges.nan_unless(
            tf.reduce_all(self.backbone.token_embedding.checked(inputs["ids"], inputs["mask"])[1])
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self.head_output_shape(tuple(input_shape["ids"] if isinstance(input_shape, dict) else input_shape))

    def head_output_shape(self, ids: tuple[int | None, ...]) -> Any:
        """The shapes of the outputs for ids of shape `[B, L]`."""
        raise NotImplementedError

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        # Tracing the call checks the inputs and gives the dtypes.
        return keras.Operation.compute_output_spec(self, *args, **kwargs)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The mask of the tokens, which outputs with one vector a token carry on."""
        if isinstance(inputs, dict):
            implicit = previous_mask.get("ids") if isinstance(previous_mask, dict) else previous_mask
            return inputs.get("mask", implicit)
        return previous_mask

    @classmethod
    def from_preset(cls: type[_Model], name: str, **overrides: Any) -> _Model:
        """Makes a new model, with weights of its own, of the sizes and options of a published model.

        Args:
            name: a key of `reformer_tf.models.presets.PRESETS`, `"reformer-enwik8"` for instance.
            **overrides: arguments that replace the preset's or that it does not have.

        Raises:
            ValueError: if there is no such preset, or an argument that neither the model nor its backbone takes.
        """
        # Not through from_config, which takes files of before that the constructor would refuse.
        return cls._new({**presets.get(name), **overrides})

    def get_config(self) -> dict[str, Any]:
        config = {**self.backbone.get_config(), "name": self.name, "trainable": self.trainable}
        # The model's changes include those of the backbone.
        config.pop(parts.KEY, None)
        changes = self._parts.changes()
        return {**config, parts.KEY: changes} if changes else config

    @classmethod
    def from_config(cls: type[_Model], config: dict[str, Any], custom_objects: Any = None) -> _Model:
        return cls._new(config)

    @classmethod
    def _new(cls: type[_Model], config: dict[str, Any]) -> _Model:
        model_arguments.refuse_unknown([cls, ReformerBackbone], set(config) - {parts.KEY})
        return parts.make(cls, config)


def unpacked(inputs: Any, mask: Any = None, segment_ids: Any = None) -> dict[str, Any]:
    """The inputs of a model by name: `"ids"`, `"mask"` and `"segment_ids"`; the last two may be None.

    Args:
        inputs: ids, or a dict of inputs.
        mask: used if `inputs` has none.
        segment_ids: used if `inputs` has none.

    Raises:
        ValueError: if a dict has no ids, or a key that no model takes.
    """
    named = _by_name(inputs)
    for name, other in (("mask", mask), ("segment_ids", segment_ids)):
        if named.get(name) is not None and other is not None:
            raise ValueError(f"{name} must be in x or an argument of the call, not both. Received: {name} twice")
    # To learn the shapes of a distributed batch, Keras takes its mean over replicas, which turns integers into floats.
    if named.get("mask") is not None:
        mask = tf.cast(named["mask"], tf.bool)
    if named.get("segment_ids") is not None:
        segment_ids = tf.cast(named["segment_ids"], tf.int32)
    return {"ids": as_ids(named["ids"]), "mask": mask, "segment_ids": segment_ids}


def _by_name(inputs: Any) -> dict[str, Any]:
    """Ids, or a dict of inputs, as a dict of dense tensors."""
    named = inputs if isinstance(inputs, dict) else {"ids": inputs}
    if "ids" not in named or set(named) - set(_INPUTS):
        raise ValueError(f'x must be ids, or a dict of "ids", "mask", "segment_ids". Received: {sorted(named)}')
    for name, value in named.items():
        arguments.dense(name, value)
    return named


def as_ids(ids: Any) -> tf.Tensor:
    """Converts ids `[B, L]`, or lists of equally long rows, to a tensor.

    Raises:
        ValueError: if they are not integers of that rank, or ragged or sparse.
    """
    if isinstance(ids, list | tuple):
        ids = tf.convert_to_tensor(ids)
    arguments.token_ids("ids", ids)
    return tf.convert_to_tensor(ids)
