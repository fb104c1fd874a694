"""What all models with a head on a backbone share: how they are called, seeded, saved and made from a preset."""

from typing import Any, TypeVar

import keras
import tensorflow as tf

from reformer_tf.layers import arguments, parts
from reformer_tf.layers.checked_inputs import CheckedInputs
from reformer_tf.layers.seed_state import SavesSeedState
from reformer_tf.models import presets
from reformer_tf.models.backbone import ReformerBackbone
from reformer_tf.ops import seeds

_Model = TypeVar("_Model", bound="HeadedModel")
_INPUTS = ("ids", "mask", "segment_ids")


class HeadedModel(CheckedInputs, SavesSeedState, keras.Model):
    """Base of the models that wrap a functional `ReformerBackbone`; a head maps its vectors to the outputs.

    It is a subclass of `keras.Model` and not functional, so that cloning and loading give the same class. A subclass
    implements `apply_head`, and adds its own arguments to `get_config`.

    Args:
        backbone: the model's backbone.
        seed: non-negative integer, of the generator that seeds training calls without a seed.
        name: of the model.
        trainable: see `keras.Model`.

    Call arguments:
        inputs: integers `[B, L]`; or a dict of `"ids"` and, if wanted, `"mask"` and `"segment_ids"`, which is how
            `fit`, `evaluate` and `predict` hand them over. (With several replicas, Keras needs a mask of integers.)
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

    def check_inputs(self, inputs: Any) -> None:
        check_inputs(inputs if isinstance(inputs, dict) else {"ids": inputs})

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        segment_ids: tf.Tensor | None = None,
        seed: tf.Tensor | None = None,
        training: bool | None = None,
    ) -> Any:
        if isinstance(inputs, dict):
            # Keras hands on a dict of implicit masks.
            mask = mask.get("ids") if isinstance(mask, dict) else mask
            # To learn the shapes of a distributed batch, Keras takes its mean over replicas, which is no integer.
            if "mask" in inputs:
                mask = tf.cast(inputs["mask"], tf.bool)
            if "segment_ids" in inputs:
                segment_ids = tf.cast(inputs["segment_ids"], tf.int32)
            inputs = inputs["ids"]
        inputs = tf.convert_to_tensor(inputs)
        seed = self.resolve_seed(seed, training, inputs)
        vectors = self.encode(inputs, mask, segment_ids, seed, training)
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
        """The seed `[3]` of a training call, drawn from the model's generator if none is given; else None."""
        if not training:
            return None
        if seed is None:
            seed = tf.cast(self.seed_generator.next(), tf.int32)
        return seeds.with_row_offset(seed, tf.shape(ids)[0])

    def encode(self, ids: tf.Tensor, mask: Any, segment_ids: Any, seed: Any, training: bool | None) -> tf.Tensor:
        """The backbone's vectors."""
        options = {"mask": mask, "segment_ids": segment_ids, "seed": seed, "training": training}
        return self.backbone(ids, **{name: value for name, value in options.items() if value is not None})

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self.head_output_shape(tuple(input_shape["ids"] if isinstance(input_shape, dict) else input_shape))

    def head_output_shape(self, ids: tuple[int | None, ...]) -> Any:
        """The shapes of the outputs for ids of shape `[B, L]`."""
        raise NotImplementedError

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        # By tracing the call, which checks its inputs and knows the dtypes.
        return keras.Operation.compute_output_spec(self, *args, **kwargs)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Outputs of one vector a token carry the mask of the tokens."""
        if isinstance(inputs, dict):
            implicit = previous_mask.get("ids") if isinstance(previous_mask, dict) else previous_mask
            return inputs.get("mask", implicit)
        return previous_mask

    @classmethod
    def from_preset(cls: type[_Model], name: str, **overrides: Any) -> _Model:
        """Makes a new model, with weights of its own, of the sizes and options of a published model.

        Args:
            name: a key of `reformer_tf.models.presets.PRESETS`, `"reformer-enwik8"` for instance.
            **overrides: arguments in place of the preset's, and those that it does not have.

        Raises:
            ValueError: if there is no such preset.
        """
        return cls(**{**presets.get(name), **overrides})

    def get_config(self) -> dict[str, Any]:
        config = {**self.backbone.get_config(), "name": self.name, "trainable": self.trainable}
        # Those of the backbone are among the model's.
        config.pop(parts.KEY, None)
        changes = self._parts.changes()
        return {**config, parts.KEY: changes} if changes else config

    @classmethod
    def from_config(cls: type[_Model], config: dict[str, Any], custom_objects: Any = None) -> _Model:
        return parts.make(cls, config)


def check_inputs(inputs: dict[str, Any]) -> None:
    """Checks the names in a dict of inputs, the type and rank of the ids, and that nothing is ragged or sparse.

    Raises:
        ValueError: if there are no ids, or something that no model takes.
    """
    if "ids" not in inputs or set(inputs) - set(_INPUTS):
        raise ValueError(f'x must be ids, or a dict of "ids", "mask", "segment_ids". Received: {sorted(inputs)}')
    for name, value in inputs.items():
        arguments.dense(name, value)
    arguments.token_ids("ids", inputs["ids"])


def as_ids(ids: Any) -> tf.Tensor:
    """Ids `[B, L]` as a tensor; lists of equally long rows do as well.

    Raises:
        ValueError: if they are anything else than integers of that rank, or ragged or sparse.
    """
    if isinstance(ids, list | tuple):
        ids = tf.convert_to_tensor(ids)
    arguments.token_ids("ids", ids)
    return tf.convert_to_tensor(ids)
