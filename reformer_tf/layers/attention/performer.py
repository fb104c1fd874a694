"""Attention by random features, whose time grows linearly with the length."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from reformer_tf.layers.attention.base import Call, SelfAttention
from reformer_tf.layers.attention.capabilities import AttentionCapabilities, DecodingCache
from reformer_tf.layers.attention.random_features import RandomFeatures
from reformer_tf.ops.attention import feature_attention
from reformer_tf.ops.attention.pair_dropout import PairDropout
from reformer_tf.ops.caches import Cache, FeatureSumsCache


@keras.saving.register_keras_serializable("reformer_tf")
class PerformerSelfAttention(RandomFeatures, SelfAttention):
    """Self-attention by features of queries and keys, O(L m D) (Choromanski et al., 2021, "Rethinking Attention").

    The weight of a pair is a sum over m positive features. With random features it estimates that of exact softmax
    attention without bias (`softmax`, `hyperbolic`), so the weights of a trained `FullSelfAttention` fit. How well it
    does depends on the norms of queries and keys: with 256 features of heads of 64, outputs are off by 5 % where the
    entries of q and k have the standard deviation 0.25, by 40 % at 0.5, and are useless at 1.

    Features and their sums are float32 (or float64) under every dtype policy. No later token changes an output by more
    than rounding, however large its key, and no small number is added to denominators.

    Args:
        num_heads: H, the number of heads.
        key_dim: D, the size of queries, keys and values in each head.
        num_features: m, the number of features of a query or a key; 256 if None. Even for `hyperbolic`, which has two
            of each random row. To be left out for `elu`, which has D.
        features: `"softmax"`, positive features of softmax attention (Lemma 1); `"softmax_regularized"`, the same with
            rows of equal length, a little biased and less noisy (SMREG, Theorem 1); `"hyperbolic"`, with rows of both
            signs (Lemma 1); `"relu"`, the generalised attention of section 2.2 (ReLU of projections, plus 0.001);
            `"elu"`, elu(x) + 1 without random rows (Katharopoulos et al., 2020, "Transformers are RNNs").
        causal: whether a token sees no later token.
        redraw_every: after how many training steps new random rows are drawn, for training; 0 for never. The steps are
            those of the seed's second word, or the optimizer's in `fit` of a model of this package. Inference always
            uses the rows that are stored as a weight.
        use_bias: whether projections have biases.
        rotary: whether queries and keys are rotated by their positions.
        kernel_initializer: of the projections.
        seed: integer that tells this layer's randomness from others'; the stored rows follow from it.
        **kwargs: see `keras.layers.Layer`, and `LowRankAdapted` for `lora_rank`, `lora_alpha` and `lora_kernels`.

    Call arguments:
        segment_ids: integers `[B, L]`: each run of equal ids is a segment by itself.

    Raises:
        ValueError: for sizes that are not positive, unknown features, a number of features that these cannot have, or
            `dropout` and `shared_query_key`, which other kinds have.

    Example:
        >>> layer = PerformerSelfAttention(num_heads=2, key_dim=16, num_features=64, causal=True)
        >>> layer(np.random.normal(size=(1, 1000, 32))).shape
        TensorShape([1, 1000, 32])
    """

    capabilities = AttentionCapabilities(
        causal=True,
        bidirectional=True,
        segments="runs",
        pair_dropout=False,
        shared_query_key=False,
        rotary=True,
        decoding_cache=DecodingCache(state="sums of features", time_grows=False, state_grows=False),
        cross_attention=True,
        model_arguments={"kernel_initializer": "kernel_initializer", "rotary": "rotary"},
    )

    fixed = SelfAttention.fixed | RandomFeatures.fixed

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        num_features: int | None = None,
        features: str = "softmax",
        causal: bool = False,
        redraw_every: int = 0,
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
            use_bias=use_bias,
            rotary=rotary,
            kernel_initializer=kernel_initializer,
            seed=seed,
            **kwargs,
        )
        self.set_features(num_features, features, redraw_every)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        super().build(input_shape)
        self.build_rows()

    def drawn(self, call: Call) -> Mapping[str, tf.Tensor | None]:
        return {"rows": self.rows(call.seed, call.layer_seed, call.training)}

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
        rows: tf.Tensor | None = None,
    ) -> tf.Tensor:
        return feature_attention.attend(query, key, value, rows, self.features, valid, segments, self.causal)

    def cache(self) -> Cache | None:
        return FeatureSumsCache(self.features, self.stored_rows()) if self.causal else None

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["shared_query_key"], config["dropout"]
        return {**config, **self.features_config()}
