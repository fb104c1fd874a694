"""The model of this package with exact attention by `keras.layers.MultiHeadAttention`.

    python -m benchmarks.peers.keras_attention --attention=keras --length=4096

The flags and the output are those of `benchmarks.train_step`.
"""

from typing import Any

import keras
import tensorflow as tf

from reformer_tf.layers.attention.capabilities import PREFIX_AGAIN, AttentionCapabilities
from reformer_tf.layers.attention.registry import ATTENTION_LAYERS

KIND = "keras"


class KerasSelfAttention(keras.layers.Layer):
    """Self-attention by Keras' layer, with the constructor arguments that models of this package pass.

    Args:
        num_heads: H.
        key_dim: D.
        causal: whether a token sees no later token.
        dropout: fraction of the attention probabilities to drop in training.
        seed: of that dropout.
        **kwargs: see `keras.layers.Layer`.
    """

    capabilities = AttentionCapabilities(
        causal=True,
        bidirectional=True,
        segments=None,
        pair_dropout=True,
        shared_query_key=False,
        rotary=False,
        decoding_cache=PREFIX_AGAIN,
        cross_attention=False,
        model_arguments={},
    )
    strictly_causal = True
    ignores_padding = True

    def __init__(self, num_heads: int, key_dim: int, causal: bool, dropout: float, seed: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.causal = causal
        self.attention = keras.layers.MultiHeadAttention(
            num_heads, key_dim, dropout=dropout, use_bias=False, seed=seed, dtype=self.dtype_policy, name="attention"
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.attention.build(input_shape, input_shape)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        return self.attention(inputs, inputs, use_causal_mask=self.causal, training=training)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return tuple(input_shape)


if __name__ == "__main__":
    from benchmarks import train_step
    from benchmarks.measuring import command_line

    ATTENTION_LAYERS[KIND] = KerasSelfAttention
    command_line.run(train_step.main)
