"""A Reformer that finds a span of tokens, such as the answer to a question."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from reformer_tf.layers import arguments, parts
from reformer_tf.models.backbone import ReformerBackbone
from reformer_tf.models.headed_model import HeadedModel
from reformer_tf.ops import shapes

# Far below any logit, and finite: a loss of a masked position is large and no NaN.
_MASKED = -1e9


@keras.saving.register_keras_serializable("reformer_tf")
class ReformerSpanPredictor(HeadedModel):
    """A finder of spans: ids `[B, L]` to the logits of each token being the first, or the last, of the span.

    It trains like any Keras model, with a loss for each of the two outputs: `fit(ids, {"start": first, "end": last})`
    with indices `[B]`, after `compile(loss={"start": loss, "end": loss})`, where loss is
    `keras.losses.SparseCategoricalCrossentropy(from_logits=True)`. Padded sequences are handed over as
    `{"ids": ids, "mask": mask}`.

    Args:
        vocabulary_size: V, the number of token ids.
        max_sequence_length: the longest input.
        num_layers: the number of blocks.
        hidden_dim: M, the width of each residual stream.
        num_heads: H, the number of attention heads.
        key_dim: D, the size of a head.
        intermediate_dim: the inner width of the feed-forward layers.
        attention_layers: the kind of attention of each layer, or a pattern of kinds that is repeated.
        seed: non-negative integer from which each layer's own seed comes.
        dtype: dtype policy of all layers, for instance `"mixed_bfloat16"`. Logits are float32.
        name: of the model.
        trainable: see `keras.Model`.
        **options: further arguments of `ReformerBackbone` (`chunk_length`, `num_hashes`, `causal`, ...).

    Call arguments:
        inputs: integers `[B, L]`, 1 <= L <= max_sequence_length; or a dict of them as `"ids"` and of `"mask"` and
            `"segment_ids"`.
        mask: boolean `[B, L]`, True for real tokens.
        segment_ids: integers `[B, L]`; tokens of different segments do not see each other.
        seed: int32 `[2]` = (base, step) or `[3]` = (base, step, row offset), decides all randomness of a training call.
        training: whether this is a training call.

    Returns:
        A dict of `"start"` and `"end"`, float32 `[B, L]` each; -1e9 where masked.

    Raises:
        ValueError: for sizes that are not positive, unknown kinds, or lists that do not fit.

    Example:
        >>> model = ReformerSpanPredictor(257, 1024, 2, 32, 2, 16, 64, ["local", "lsh"])
        >>> model(np.zeros((5, 1000), "int32"))["start"].shape
        TensorShape([5, 1000])

    References:
        Devlin, Chang, Lee, Toutanova, 2019, BERT, section 4.2.
    """

    def __init__(
        self,
        vocabulary_size: int,
        max_sequence_length: int,
        num_layers: int,
        hidden_dim: int,
        num_heads: int,
        key_dim: int,
        intermediate_dim: int,
        attention_layers: Sequence[str],
        seed: int = 0,
        dtype: Any = None,
        name: str | None = None,
        trainable: bool = True,
        **options: Any,
    ):
        backbone = ReformerBackbone(
            vocabulary_size,
            max_sequence_length,
            num_layers,
            hidden_dim,
            num_heads,
            key_dim,
            intermediate_dim,
            attention_layers,
            seed=seed,
            dtype=dtype,
            name="backbone",
            **options,
        )
        super().__init__(backbone, seed, name, trainable)
        output_dtype = shapes.statistics_dtype(backbone.policy.compute_dtype).name
        self.span = keras.layers.Dense(2, dtype=output_dtype, name="span")
        self.span.build((None, None, backbone.output_dim))
        self._parts = parts.Parts(self)

    def apply_head(
        self, vectors: tf.Tensor, mask: tf.Tensor | None, seed: tf.Tensor | None, training: bool | None
    ) -> dict[str, tf.Tensor]:
        scores = self.span(vectors)
        if mask is not None:
            mask = arguments.per_token("mask", mask, tf.bool, vectors)
            scores = tf.where(mask[:, :, None], scores, tf.constant(_MASKED, scores.dtype))
        return {"start": scores[:, :, 0], "end": scores[:, :, 1]}

    def head_output_shape(self, ids: tuple[int | None, ...]) -> dict[str, tuple[int | None, ...]]:
        return {"start": ids, "end": ids}

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        return None
