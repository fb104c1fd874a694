"""Base of the models with a head on a backbone: how they are called, saved and made from a preset."""

from typing import Any, TypeVar

import tensorflow as tf

from reformer_tf.layers import arguments, parts
from reformer_tf.models import model_arguments, presets
from reformer_tf.models.backbone import ReformerBackbone
from reformer_tf.models.trainable_model import TrainableModel
from reformer_tf.ops import id_ranges

_Model = TypeVar("_Model", bound="HeadedModel")
_INPUTS = ("ids", "mask", "segment_ids")


class HeadedModel(TrainableModel):
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
        super().__init__(seed, name=name, trainable=trainable, dtype=backbone.policy)
        self._register_call_context_args("segment_ids")
        self.backbone = backbone
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

    def encode(self, ids: tf.Tensor, mask: Any, segment_ids: Any, seed: Any, training: bool | None) -> tf.Tensor:
        """The backbone's vectors."""
        options = {"mask": mask, "segment_ids": segment_ids, "seed": seed, "training": training}
        # If the backbone cast the ids itself, ids beyond int32 would wrap around into the vocabulary.
        return self.backbone(
            id_ranges.int32(ids), **{name: value for name, value in options.items() if value is not None}
        )

    def named_inputs(self, x: Any) -> dict[str, Any]:
        return unpacked(x)

    def nan_unless_known(self, inputs: Any) -> tf.Tensor:
        inputs = unpacked(inputs)
        return id_ranges.nan_unless(
            tf.reduce_all(self.backbone.token_embedding.checked(inputs["ids"], inputs["mask"])[1])
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self.head_output_shape(tuple(input_shape["ids"] if isinstance(input_shape, dict) else input_shape))

    def head_output_shape(self, ids: tuple[int | None, ...]) -> Any:
        """The shapes of the outputs for ids of shape `[B, L]`."""
        raise NotImplementedError

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
