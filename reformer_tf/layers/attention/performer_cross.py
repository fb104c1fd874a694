"""Attention by random features to another sequence, whose time grows linearly with both lengths."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from reformer_tf.layers.attention.cross_attention import CrossAttention, CrossCall
from reformer_tf.layers.attention.performer import PerformerSelfAttention
from reformer_tf.layers.attention.random_features import RandomFeatures
from reformer_tf.ops.attention import feature_attention
from reformer_tf.ops.attention.pair_dropout import PairDropout
from reformer_tf.ops.caches import State, context


@keras.saving.register_keras_serializable("reformer_tf")
class PerformerCrossAttention(RandomFeatures, CrossAttention):
    """Cross-attention by features of queries and keys, O((L + S) m D); see `PerformerSelfAttention`.

    In decoding, a context counts as sums of features, of a size that does not depend on its length.

    Args:
        num_heads: H, the number of heads.
        key_dim: D, the size of queries, keys and values in each head.
        num_features: m, as in `PerformerSelfAttention`.
        features: `"softmax"`, `"softmax_regularized"`, `"hyperbolic"`, `"relu"` or `"elu"`.
        redraw_every: after how many training steps new random rows are drawn, for training; 0 for never.
        use_bias: whether projections have biases.
        kernel_initializer: of the projections.
        seed: integer that tells this layer's randomness from others'; the stored rows follow from it.
        **kwargs: see `keras.layers.Layer`, and `LowRankAdapted` for `lora_rank`, `lora_alpha` and `lora_kernels`.

    Call arguments:
        inputs: `[B, L, M]`.
        context: `[B, S, N]`, the output of an encoder for instance.
        mask: boolean `[B, L]`, True for real tokens.
        context_mask: boolean `[B, S]`, True for real tokens of the context.
        seed: int32 `[2]` or `[3]`, whose second number is the step of redrawing.
        training: whether rows are redrawn.

    Raises:
        ValueError: for sizes that are not positive, unknown features, a number of features that these cannot have, or
            `dropout`, which exact attention has.

    Example:
        >>> layer = PerformerCrossAttention(num_heads=2, key_dim=16, num_features=64)
        >>> layer(np.random.normal(size=(1, 100, 32)), np.random.normal(size=(1, 1000, 48))).shape
        TensorShape([1, 100, 32])

    References:
        Choromanski et al., 2021, Rethinking Attention with Performers, section 2.
    """

    capabilities = PerformerSelfAttention.capabilities
    fixed = CrossAttention.fixed | RandomFeatures.fixed

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        num_features: int | None = None,
        features: str = "softmax",
        redraw_every: int = 0,
        use_bias: bool = False,
        kernel_initializer: Any = "glorot_uniform",
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(
            num_heads, key_dim, use_bias=use_bias, kernel_initializer=kernel_initializer, seed=seed, **kwargs
        )
        self.set_features(num_features, features, redraw_every)

    def build(self, inputs_shape: tuple[int | None, ...], context_shape: tuple[int | None, ...]) -> None:
        super().build(inputs_shape, context_shape)
        self.build_rows()

    def drawn(self, call: CrossCall) -> Mapping[str, tf.Tensor | None]:
        return {"rows": self.rows(call.seed, call.layer_seed, call.training)}

    def attend(
        self,
        query: tf.Tensor,
        key: tf.Tensor,
        value: tf.Tensor,
        *,
        valid: tf.Tensor | None,
        key_valid: tf.Tensor | None,
        dropout: PairDropout | None,
        rows: tf.Tensor | None = None,
    ) -> tf.Tensor:
        return feature_attention.attend_across(query, key, value, rows, self.features, valid, key_valid)

    def summarised(self, key: tf.Tensor, value: tf.Tensor, context_mask: tf.Tensor | None) -> State:
        return context.sums_of_features(key, value, context_mask, self.features, self.stored_rows())

    def attend_state(self, query: tf.Tensor, state: State) -> tf.Tensor:
        output = context.attend_to_sums(query, state, self.features, self.stored_rows())
        return tf.cast(output, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["dropout"]
        return {**config, **self.features_config()}
