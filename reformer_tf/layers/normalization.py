"""Layer normalisation that makes no tensor of its input's size besides its output, forward or backward."""

from typing import Any

import keras
import tensorflow as tf

from reformer_tf.layers import arguments, frozen_weights
from reformer_tf.layers.checked_inputs import VectorLayer
from reformer_tf.ops import normalization, shapes
from reformer_tf.ops.execution import row_chunks

# Arguments of Keras' layer that this one does not take.
_FIXED = (
    "axis",
    "center",
    "scale",
    "rms_scaling",
    "beta_initializer",
    "gamma_initializer",
    "beta_regularizer",
    "gamma_regularizer",
    "beta_constraint",
    "gamma_constraint",
)


@keras.saving.register_keras_serializable("reformer_tf")
class ChunkedLayerNormalization(VectorLayer, keras.layers.LayerNormalization):
    """`keras.layers.LayerNormalization` over the last axis, a few rows at a time, recomputed in the backward pass.

    Inputs are taken in their own precision, and statistics computed in at least float32.

    Args:
        epsilon: added to the variance.
        **kwargs: see `keras.layers.Layer`.

    Call arguments:
        inputs: `[B, L, M]`, or any other number of axes before the last.

    Example:
        >>> ChunkedLayerNormalization()(np.ones((2, 1000, 16))).shape
        TensorShape([2, 1000, 16])
    """

    def __init__(self, epsilon: float = 1e-6, **kwargs: Any):
        fixed = sorted(set(kwargs) & set(_FIXED))
        if fixed:
            raise ValueError(
                "Arguments of ChunkedLayerNormalization must be epsilon and those of keras.layers.Layer: it does not"
                f" take {', '.join(fixed)}. Received: {', '.join(f'{name}={kwargs[name]!r}' for name in fixed)}"
            )
        epsilon = arguments.positive_number("epsilon", epsilon)
        super().__init__(epsilon=epsilon, **{"autocast": False, **kwargs})

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        inputs = tf.convert_to_tensor(inputs)
        width = inputs.shape[-1]
        dtype = tf.as_dtype(self.compute_dtype)

        variables = (self.gamma, self.beta)
        weights, joined = frozen_weights.separated(variables, [frozen_weights.value(v) for v in variables])

        def rows(x: tf.Tensor, *weights: tf.Tensor) -> tf.Tensor:
            gamma, beta = joined(weights)
            return normalization.normalized(x, gamma, beta, self.epsilon, dtype)

        flat, budget = tf.reshape(inputs, [-1, width]), row_chunks.rows_in_budget(4 * width)
        result = row_chunks.map_rows(rows, [flat], weights, budget, tf.TensorSpec([None, width], dtype))
        return tf.reshape(result, shapes.sizes(inputs))

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {name: value for name, value in config.items() if name not in _FIXED}
