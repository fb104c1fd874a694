"""Layer normalisation that makes no second tensor of its input's size beside its output, forward or backward."""

import keras
import tensorflow as tf

from reformer_tf.ops import chunking, shapes


@keras.saving.register_keras_serializable("reformer_tf")
class ChunkedLayerNormalization(keras.layers.LayerNormalization):
    """`keras.layers.LayerNormalization` over the last axis, a few rows at a time, recomputed in the backward pass.

    Args:
        **kwargs: see `keras.layers.LayerNormalization`; `axis` must be the last one.

    Call arguments:
        inputs: `[B, L, M]`, or any other number of axes before the last.

    Example:
        >>> ChunkedLayerNormalization()(np.ones((2, 1000, 16))).shape
        TensorShape([2, 1000, 16])
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        inputs = tf.convert_to_tensor(inputs)
        width = inputs.shape[-1]
        variables = [v for v in (self.gamma, self.beta) if v is not None]

        def rows(x: tf.Tensor, *weights: tf.Tensor) -> tf.Tensor:
            with keras.StatelessScope(state_mapping=list(zip(variables, weights, strict=True))):
                # With the axes that the layer was built for.
                shape = [*(1 for _ in inputs.shape[:-2]), -1, width]
                return tf.reshape(super(ChunkedLayerNormalization, self).call(tf.reshape(x, shape)), [-1, width])

        spec = tf.TensorSpec([None, width], self.compute_dtype)
        weights = [tf.convert_to_tensor(v.value) for v in variables]
        flat = tf.reshape(inputs, [-1, width])
        result = chunking.map_rows(rows, [flat], weights, chunking.rows_in_budget(4 * width), spec)
        return tf.reshape(result, shapes.sizes(inputs))
