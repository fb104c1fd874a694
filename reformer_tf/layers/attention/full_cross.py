"""Exact attention to all tokens of another sequence."""

import keras
import tensorflow as tf

from reformer_tf.layers.attention.cross_attention import CrossAttention
from reformer_tf.layers.attention.full import FullSelfAttention
from reformer_tf.ops.attention import all_pairs
from reformer_tf.ops.attention.pair_dropout import PairDropout
from reformer_tf.ops.caches import State, context


@keras.saving.register_keras_serializable("reformer_tf")
class FullCrossAttention(CrossAttention):
    """Exact cross-attention in blocks of queries: O(L S) time, but memory linear in L + S, in training too.

    Args:
        num_heads: H, the number of heads.
        key_dim: D, the size of queries, keys and values in each head.
        dropout: fraction of the attention probabilities to drop in training, in [0, 1).
        use_bias: whether projections have biases.
        kernel_initializer: of the projections.
        seed: integer that tells this layer's randomness from others'.
        **kwargs: see `keras.layers.Layer`, and `LowRankAdapted` for `lora_rank`, `lora_alpha` and `lora_kernels`.

    Call arguments:
        inputs: `[B, L, M]`.
        context: `[B, S, N]`, the output of an encoder for instance.
        mask: boolean `[B, L]`, True for real tokens.
        context_mask: boolean `[B, S]`, True for real tokens of the context.
        seed: int32 `[2]` or `[3]`, determines the dropout of this call.
        training: whether dropout is on.

    Raises:
        ValueError: for sizes that are not positive.

    Example:
        >>> layer = FullCrossAttention(num_heads=2, key_dim=16)
        >>> layer(np.random.normal(size=(1, 100, 32)), np.random.normal(size=(1, 1000, 48))).shape
        TensorShape([1, 100, 32])

    References:
        Vaswani et al., 2017, Attention Is All You Need, section 3.2.3.
    """

    capabilities = FullSelfAttention.capabilities

    def attend(
        self,
        query: tf.Tensor,
        key: tf.Tensor,
        value: tf.Tensor,
        *,
        valid: tf.Tensor | None,
        key_valid: tf.Tensor | None,
        dropout: PairDropout | None,
    ) -> tf.Tensor:
        return all_pairs.cross_attention(query, key, value, valid, key_valid, dropout)

    def summarised(self, key: tf.Tensor, value: tf.Tensor, context_mask: tf.Tensor | None) -> State:
        return context.keys_and_values(key, value, context_mask)

    def attend_state(self, query: tf.Tensor, state: State) -> tf.Tensor:
        return context.attend(query, state)
