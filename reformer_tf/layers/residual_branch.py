"""One branch of a residual block: normalisation, a sublayer, dropout."""

from typing import Any

import keras
import tensorflow as tf

from reformer_tf.layers import branch_calls, parts, sharing
from reformer_tf.layers.checked_inputs import VectorLayer
from reformer_tf.layers.dropout import SeededDropout
from reformer_tf.layers.fixed_arguments import FixedArguments
from reformer_tf.layers.normalization import ChunkedLayerNormalization
from reformer_tf.ops import shapes
from reformer_tf.ops.execution import compiled_functions


@keras.saving.register_keras_serializable("reformer_tf")
class ResidualBranch(VectorLayer, FixedArguments):
    """`dropout(layer(normalisation(x)))`, the F or G of a reversible block (pre-norm, as in the paper's models).

    Dropout is a function of the call's seed and of an element's coordinates, so that a recomputation drops the same.

    Args:
        layer: the sublayer, `[B, L, M]` to `[B, L, M]`.
        dropout: fraction of the output to drop in training, in [0, 1).
        epsilon: of the layer normalisation.
        seed: integer that tells this layer's dropout from other layers'; drawn if None.
        **kwargs: see `keras.layers.Layer`.

    Call arguments:
        inputs: `[B, L, M]`.
        mask: boolean `[B, L]`, handed to the sublayer if it takes one.
        segment_ids: integers `[B, L]`, likewise.
        context: `[B, S, N]`, the sequence that cross-attention attends to, likewise.
        context_mask: boolean `[B, S]`, likewise.
        seed: int32 `[2]` or `[3]`, likewise; by default drawn from the layer's own generator in training.
        training: whether dropout is on.

    Raises:
        ValueError: if the sublayer needs more than one input, or a context where there is none, or does not return one
            floating tensor of its input's shape.

    Example:
        >>> from reformer_tf.layers import ChunkedFeedForward
        >>> ResidualBranch(ChunkedFeedForward(64), dropout=0.1)(np.ones((1, 10, 16))).shape
        TensorShape([1, 10, 16])
    """

    fixed = frozenset({"layer", "normalization", "dropout"})

    def __init__(
        self,
        layer: keras.layers.Layer,
        dropout: float = 0.0,
        epsilon: float = 1e-6,
        seed: int | None = None,
        **kwargs: Any,
    ):
        # No autocast: the normalisation takes the stream in the stream's precision.
        super().__init__(**{"autocast": False, **kwargs})
        self.layer = layer
        self.dropout = SeededDropout(dropout, seed, dtype=self.dtype_policy, name="dropout")
        self.normalization = ChunkedLayerNormalization(epsilon, dtype=self.dtype_policy, name="normalization")
        self._parts = parts.Parts(self, {"normalization": self.normalization, "dropout": self.dropout})
        self.supports_masking = True
        self._register_call_context_args("segment_ids", "seed")

    def build(self, inputs_shape: tuple[int | None, ...], context_shape: tuple[int | None, ...] | None = None) -> None:
        stream = keras.KerasTensor(tuple(inputs_shape), shapes.statistics_dtype(self.compute_dtype).name)
        normal = branch_calls.build(self.normalization, stream)
        context = None if context_shape is None else keras.KerasTensor(tuple(context_shape), self.compute_dtype)
        branch_calls.build(self.dropout, branch_calls.build(self.layer, normal, context))

    def call(
        self,
        inputs: tf.Tensor,
        mask: tf.Tensor | None = None,
        segment_ids: tf.Tensor | None = None,
        seed: tf.Tensor | None = None,
        training: bool | None = None,
        context: tf.Tensor | None = None,
        context_mask: tf.Tensor | None = None,
    ) -> tf.Tensor:
        options = {
            "mask": mask,
            "segment_ids": segment_ids,
            "context": context,
            "context_mask": context_mask,
            "seed": seed,
            "training": training,
        }
        # Functions inside may be compiled in training; an exported model must run where XLA is not linked in.
        with compiled_functions.compiling_functions(bool(training)):
            output = branch_calls.call(self.layer, self.normalization(inputs), options)
        return self.dropout(output, seed=seed, training=training)

    def compute_output_shape(
        self, inputs_shape: tuple[int | None, ...], context_shape: tuple[int | None, ...] | None = None
    ) -> tuple[int | None, ...]:
        return tuple(inputs_shape)

    @property
    def epsilon(self) -> float:
        """Of the layer normalisation."""
        return self.normalization.epsilon

    def get_config(self) -> dict[str, Any]:
        config = {
            **super().get_config(),
            "layer": sharing.serialize([self.layer])[0],
            "dropout": self.dropout.rate,
            "epsilon": self.epsilon,
            "seed": self.dropout.seed,
        }
        # The attributes that the constructor sets from these arguments.
        expected = {"dtype": self.dtype_policy.name, "rate": self.dropout.rate, "epsilon": self.epsilon}
        changes = self._parts.changes({**expected, "seed": self.dropout.seed})
        return {**config, parts.KEY: changes} if changes else config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ResidualBranch":
        return parts.make(cls, {**config, "layer": sharing.deserialize([config["layer"]])[0]})
