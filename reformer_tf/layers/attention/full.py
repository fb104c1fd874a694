"""Exact attention to all tokens."""

import keras
import tensorflow as tf

from reformer_tf.layers.attention.base import SelfAttention
from reformer_tf.layers.attention.capabilities import AttentionCapabilities, DecodingCache
from reformer_tf.ops.attention import all_pairs, windowed
from reformer_tf.ops.attention.pair_dropout import PairDropout
from reformer_tf.ops.caches import Cache, FullCache


@keras.saving.register_keras_serializable("reformer_tf")
class FullSelfAttention(SelfAttention):
    """Exact self-attention in blocks of queries: O(L^2) time, but memory linear in L, in training too.

    With `shared_query_key=True` it is the exact twin of `LSHSelfAttention`: the same trainable weights in the same
    order, the same treatment of a token's own key, and the same result when every pair meets in some window.

    Args:
        num_heads: H, the number of heads.
        key_dim: D, the size of queries, keys and values in each head.
        causal: whether a token sees no later token.
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
        >>> layer = FullSelfAttention(num_heads=2, key_dim=16, causal=True)
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
        decoding_cache=DecodingCache(state="all keys and values", time_grows=True, state_grows=True),
        cross_attention=True,
        model_arguments={"kernel_initializer": "kernel_initializer", "rotary": "rotary"},
    )

    def attend(
        self,
        query: tf.Tensor,
        key: tf.Tensor | None,
        value: tf.Tensor,
        *,
        valid: tf.Tensor | None,
        segments: tf.Tensor | None,
        dropout: PairDropout | None,
        buckets: tf.Tensor | None,
    ) -> tf.Tensor:
        if key is None:
            key = windowed.normalised(query)
        return all_pairs.full_attention(query, key, value, valid, self.causal, self.shared_query_key, segments, dropout)

    def cache(self) -> Cache | None:
        return FullCache(self.shared_query_key) if self.causal else None
