"""One branch of a residual block: normalisation, a sublayer, dropout."""

from typing import Any

import keras
import tensorflow as tf

from reformer_tf.layers import arguments
from reformer_tf.layers.dropout import SeededDropout
from reformer_tf.layers.normalization import ChunkedLayerNormalization
from reformer_tf.ops import fusing


@keras.saving.register_keras_serializable("reformer_tf")
class ResidualBranch(keras.layers.Layer):
    """`dropout(layer(normalisation(x)))`, the F or G of a reversible block (pre-norm, as in the paper's models).

    Dropout is a function of the call's seed and of a value's coordinates, so that a recomputation drops the same.

    Args:
        layer: the sublayer, `[B, L, M]` to `[B, L, M]`.
        dropout: share of the output to drop in training, in [0, 1).
        epsilon: of the layer normalisation.
        seed: integer that tells this layer's dropout from other layers'; drawn if None.
        **kwargs: see `keras.layers.Layer`.

    Call arguments:
        inputs: `[B, L, M]`.
        mask: boolean `[B, L]`, handed to the sublayer if it takes one.
        segment_ids: integers `[B, L]`, likewise.
        seed: int32 `[2]` or `[3]`, likewise; by default drawn from the layer's own generator in training.
        training: whether dropout is on.

    Example:
        >>> ResidualBranch(ChunkedFeedForward(64), dropout=0.1)(np.ones((1, 10, 16))).shape
        TensorShape([1, 10, 16])
    """

    def __init__(
        self,
        layer: keras.layers.Layer,
        dropout: float = 0.0,
        epsilon: float = 1e-6,
        seed: int | None = None,
        **kwargs: Any,
    ):
        # The normalisation takes the stream in its own precision.
        super().__init__(**{"autocast": False, **kwargs})
        self.layer = layer
        self.epsilon = arguments.positive_number("epsilon", epsilon)
        self.dropout = SeededDropout(dropout, seed, dtype=self.dtype_policy, name="dropout")
        self.normalization = ChunkedLayerNormalization(epsilon, dtype=self.dtype_policy, name="normalization")
        self.supports_masking = True
        self._register_call_context_args("segment_ids", "seed")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.normalization.build(input_shape)
        self.dropout.build(input_shape)
        if not self.layer.built:
            self.layer.build(input_shape)

    def call(
        self,
        inputs: tf.Tensor,
        mask: tf.Tensor | None = None,
        segment_ids: tf.Tensor | None = None,
        seed: tf.Tensor | None = None,
        training: bool | None = None,
    ) -> tf.Tensor:
        options = {"mask": mask, "segment_ids": segment_ids, "seed": seed, "training": training}
        # Functions inside may be compiled in training; what is exported must run where XLA is not linked in.
        with fusing.fusing(bool(training)):
            output = self.layer(self.normalization(inputs), **arguments.accepted(self.layer, options))
        return self.dropout(output, seed=seed, training=training)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "layer": keras.saving.serialize_keras_object(self.layer),
            "dropout": self.dropout.rate,
            "epsilon": self.epsilon,
            "seed": self.dropout.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ResidualBranch":
        config = dict(config)
        config["layer"] = keras.saving.deserialize_keras_object(config["layer"])
        return cls(**config)
