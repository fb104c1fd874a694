"""Attention to the nearest tokens."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from reformer_tf.layers.attention.capabilities import AttentionCapabilities, DecodingCache
from reformer_tf.layers.attention.chunk_arguments import ChunkArguments
from reformer_tf.layers.attention.windowed import WindowedSelfAttention
from reformer_tf.ops import shapes
from reformer_tf.ops.attention import ordering
from reformer_tf.ops.attention.ordering import SortedOrder
from reformer_tf.ops.caches import Cache, SlidingWindowCache


@keras.saving.register_keras_serializable("reformer_tf")
class LocalSelfAttention(WindowedSelfAttention):
    """Self-attention within a sliding window: a token sees itself and the `chunk_length - 1` tokens before it.

    If not causal, also as many after it. Masked tokens do not count in a window. It equals the local round of
    `LSHSelfAttention`, but by default with separate queries and keys.

    Args:
        num_heads: H, the number of heads.
        key_dim: D, the size of queries, keys and values in each head.
        chunk_length: C, the reach of the window.
        causal: whether a token sees no later token.
        window: `"bucket"`, as above; or `"chunk"`, the form of the authors' released code: a chunk of C tokens, masked
            ones included, sees itself and whole chunks beside it.
        chunks_before: chunks that a chunk sees before itself; 1 if None. This and the next four are only for `"chunk"`.
        chunks_after: chunks that a chunk sees after itself; 0 if None.
        wrap: whether the chunk before the first is the last, as in a circle; False if None.
        length_multiple: a multiple of C; chunks are counted as if the length were a multiple of it. C if None.
        exact_length: sequences up to this length get exact attention to all tokens; C if None.
        shared_query_key: whether keys are the normalised queries.
        dropout: fraction of the attention probabilities to drop in training, in [0, 1).
        use_bias: whether projections have biases.
        rotary: whether queries and keys are rotated by their positions.
        kernel_initializer: of the projections.
        seed: integer that tells this layer's randomness from others'.
        **kwargs: see `keras.layers.Layer`, and `LowRankAdapted` for `lora_rank`, `lora_alpha` and `lora_kernels`.

    Raises:
        ValueError: for sizes that are not positive.

    Example:
        >>> layer = LocalSelfAttention(num_heads=2, key_dim=16, chunk_length=32, causal=True)
        >>> layer(np.random.normal(size=(1, 1000, 32))).shape
        TensorShape([1, 1000, 32])
    """

    capabilities = AttentionCapabilities(
        causal=True,
        bidirectional=True,
        segments="equal",
        pair_dropout=True,
        shared_query_key=True,
        rotary=True,
        decoding_cache=DecodingCache(state="the latest C keys and values", time_grows=False, state_grows=False),
        cross_attention=False,
        model_arguments={
            "chunk_length": "local_chunk_length",
            "kernel_initializer": "kernel_initializer",
            "rotary": "rotary",
        },
    )

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        chunk_length: int = 64,
        causal: bool = False,
        window: str = "bucket",
        chunks_before: int | None = None,
        chunks_after: int | None = None,
        wrap: bool | None = None,
        length_multiple: int | None = None,
        exact_length: int | None = None,
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
            chunk_length,
            window,
            ChunkArguments(chunks_before, chunks_after, wrap, length_multiple, exact_length),
            causal=causal,
            shared_query_key=shared_query_key,
            dropout=dropout,
            use_bias=use_bias,
            rotary=rotary,
            kernel_initializer=kernel_initializer,
            seed=seed,
            **kwargs,
        )

    def sorted_orders(
        self, count: shapes.Size, length: shapes.Size, valid: tf.Tensor | None, buckets: tf.Tensor | None
    ) -> Sequence[SortedOrder]:
        if self.window == "chunk":
            return [ordering.position_sorted_order(count, length, valid)]
        return [ordering.local_sorted_order(count, length, valid)]

    def sort_keys(self, length: shapes.Size, valid: tf.Tensor | None, buckets: tf.Tensor | None) -> Sequence[tf.Tensor]:
        return [ordering.local_sort_keys(length, valid)]

    @property
    def rounds(self) -> int:
        return 1

    def cache(self) -> Cache | None:
        sliding = self.causal and self.window == "bucket"
        return SlidingWindowCache(self.chunk_length, self.shared_query_key) if sliding else None

    @property
    def strictly_causal(self) -> bool:
        # Chunks are cut by position; only a switch to exact attention beyond one chunk depends on the length.
        return self.causal and (self.window == "bucket" or self.exact_length <= self.chunk_length)
