"""Dropout decided by a seed and by coordinates, so that it can be replayed."""

import random
from typing import Any

import keras
import tensorflow as tf

from reformer_tf.layers import arguments
from reformer_tf.layers.checked_inputs import VectorLayer
from reformer_tf.layers.seed_state import SavesSeedState
from reformer_tf.ops import dropout, seeds, shapes


@keras.saving.register_keras_serializable("reformer_tf")
class SeededDropout(VectorLayer, SavesSeedState):
    """Dropout for `[B, L, M]` whose mask is a function of the call's seed, the row, the position and the channel.

    `keras.layers.Dropout` moves a random generator at each call; this one gives the same mask to the same seed, and so
    can stand in a reversible stack. Padding or the batch layout do not change it.

    Args:
        rate: fraction of the values to drop, in [0, 1).
        seed: integer that tells this layer's dropout from other layers'; drawn if None.
        **kwargs: see `keras.layers.Layer`.

    Call arguments:
        inputs: `[B, L, M]`.
        seed: int32 `[2]` or `[3]`; by default drawn from the layer's own generator.
        training: whether to drop.

    Example:
        >>> SeededDropout(0.5)(np.ones((1, 10, 16)), seed=[1, 2], training=True).shape
        TensorShape([1, 10, 16])
    """

    any_width = True

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.rate = arguments.rate("rate", rate)
        self.seed = random.randrange(2**31) if seed is None else arguments.integer("seed", seed)
        self.seed_generator = keras.random.SeedGenerator(self.seed)
        self.supports_masking = True
        self._register_call_context_args("seed")

    def call(self, inputs: tf.Tensor, seed: tf.Tensor | None = None, training: bool | None = None) -> tf.Tensor:
        if not training or not self.rate:
            return inputs
        if seed is None:
            seed = tf.cast(self.seed_generator.next(), tf.int32)
        inputs = tf.convert_to_tensor(inputs)
        seed = seeds.with_row_offset(seed, shapes.sizes(inputs)[0])
        return dropout.dropout(inputs, self.rate, seed, self.seed)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
