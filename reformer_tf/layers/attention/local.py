"""Attention to the nearest tokens."""

from typing import Any

import keras
import tensorflow as tf

from reformer_tf.layers import arguments
from reformer_tf.layers.attention.base import SelfAttention
from reformer_tf.ops import attention, ordering, shapes
from reformer_tf.ops.pair_dropout import PairDropout


@keras.saving.register_keras_serializable("reformer_tf")
class LocalSelfAttention(SelfAttention):
    """Self-attention within a sliding window: a token sees itself and the `chunk_length - 1` tokens before it.

    If not causal, also as many after it. Masked tokens take no place in a window. It is the local round of
    `LSHSelfAttention` by itself, by default with queries and keys of their own.

    Args:
        num_heads: H, the number of heads.
        key_dim: D, the size of queries, keys and values in each head.
        chunk_length: C, the reach of the window.
        causal: whether a token sees no later token.
        shared_query_key: whether keys are the normalised queries.
        dropout: share of the attention probabilities to drop in training, in [0, 1).
        use_bias: whether projections have biases.
        rotary: whether queries and keys are rotated by their positions.
        kernel_initializer: of the projections.
        seed: integer that tells this layer's randomness from others'.
        **kwargs: see `keras.layers.Layer`.

    Raises:
        ValueError: for sizes that are not positive.

    Example:
        >>> layer = LocalSelfAttention(num_heads=2, key_dim=16, chunk_length=32, causal=True)
        >>> layer(np.random.normal(size=(1, 1000, 32))).shape
        TensorShape([1, 1000, 32])
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        chunk_length: int = 64,
        causal: bool = False,
        shared_query_key: bool = False,
        dropout: float = 0.0,
        use_bias: bool = False,
        rotary: bool = False,
        kernel_initializer: Any = "glorot_uniform",
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(
            num_heads,
            key_dim,
            causal=causal,
            shared_query_key=shared_query_key,
            dropout=dropout,
            use_bias=use_bias,
            rotary=rotary,
            kernel_initializer=kernel_initializer,
            seed=seed,
            **kwargs,
        )
        self.chunk_length = arguments.positive_integer("chunk_length", chunk_length)

    def attend(
        self,
        query: tf.Tensor,
        key: tf.Tensor,
        value: tf.Tensor,
        *,
        valid: tf.Tensor | None,
        segments: tf.Tensor | None,
        dropout: PairDropout | None,
        seed: tf.Tensor | None,
        training: bool,
    ) -> tf.Tensor:
        count, length, _ = shapes.sizes(query)
        window = attention.Window(self.chunk_length, self.causal, self.shared_query_key)
        orders = [ordering.local_order(count, length, valid)]
        return attention.windowed_attention(query, key, value, orders, window, segments, dropout)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "chunk_length": self.chunk_length}
