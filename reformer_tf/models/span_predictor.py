"""A Reformer that finds a span of tokens, such as the answer to a question."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from reformer_tf.layers import arguments, parts
from reformer_tf.models import backbone_choice, row_metrics
from reformer_tf.models.backbone import ReformerBackbone
from reformer_tf.models.headed_model import HeadedModel
from reformer_tf.models.own_loss_model import OwnLossModel, Scored
from reformer_tf.ops import id_ranges, shapes

_OUTPUTS = ("end", "start")
# Far below any logit, and finite, so that the loss of a masked position is large but not NaN.
_MASKED = -1e9
_ALL_ROWS = 2**31 - 1


@keras.saving.register_keras_serializable("reformer_tf")
class ReformerSpanPredictor(OwnLossModel, HeadedModel):
    """A span predictor: ids `[B, L]` to the logits that each token is the first, or the last, of the span.

    `compile(optimizer)` and `fit(ids, {"start": first, "end": last})` train it with indices `[B]` and an optional
    `sample_weight` `[B]`. The loss is the mean cross-entropy over the first and last tokens that count. Tokens at the
    indices must not be masked. With a loss for each of the two outputs in `compile` (such as
    `keras.losses.SparseCategoricalCrossentropy(from_logits=True)`) it trains like any Keras model. Padded sequences are
    passed as `{"ids": ids, "mask": mask}`.

    All sizes must be passed, or a backbone in their place.

    Args:
        vocabulary_size: V, the number of token ids.
        max_sequence_length: the longest input.
        num_layers: the number of blocks.
        hidden_dim: M, the width of each residual stream.
        num_heads: H, the number of attention heads.
        key_dim: D, the size of a head.
        intermediate_dim: the inner width of the feed-forward layers.
        attention_layers: the kind of attention of each layer, or a pattern of kinds that is repeated.
        seed: non-negative integer from which each layer's own seed comes; 0 if None.
        dtype: dtype policy of all layers, for instance `"mixed_bfloat16"`. Logits are float32.
        name: of the model.
        trainable: see `keras.Model`.
        ignore_id: indices equal to it do not count; None if all count. With losses in `compile`, those losses decide.
        backbone: a backbone, such as a language model's, in place of all arguments that a backbone has. It is shared,
            not copied. With a causal one a token's logits follow from the tokens up to it alone, so a question must
            stand before its text, and where a span begins is decided without what comes after.
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
        ValueError: for sizes that are missing or not positive, unknown kinds, lists that do not fit, or arguments that
            the backbone has already.

    Example:
        >>> model = ReformerSpanPredictor(257, 1024, 2, 32, 2, 16, 64, ["local", "lsh"])
        >>> model(np.zeros((5, 1000), "int32"))["start"].shape
        TensorShape([5, 1000])

    References:
        Devlin, Chang, Lee, Toutanova, 2019, BERT, section 4.2.
    """

    def __init__(
        self,
        vocabulary_size: int | None = None,
        max_sequence_length: int | None = None,
        num_layers: int | None = None,
        hidden_dim: int | None = None,
        num_heads: int | None = None,
        key_dim: int | None = None,
        intermediate_dim: int | None = None,
        attention_layers: Sequence[str] | None = None,
        seed: int | None = None,
        dtype: Any = None,
        name: str | None = None,
        trainable: bool = True,
        ignore_id: int | None = -100,
        backbone: ReformerBackbone | None = None,
        **options: Any,
    ):
        ignore_id = arguments.optional(arguments.integer, "ignore_id", ignore_id)
        backbone = backbone_choice.passed_or_new(
            type(self),
            backbone,
            {
                "vocabulary_size": vocabulary_size,
                "max_sequence_length": max_sequence_length,
                "num_layers": num_layers,
                "hidden_dim": hidden_dim,
                "num_heads": num_heads,
                "key_dim": key_dim,
                "intermediate_dim": intermediate_dim,
                "attention_layers": attention_layers,
                "seed": seed,
                "dtype": dtype,
            },
            options,
        )
        super().__init__(backbone, backbone.config["seed"], name, trainable)
        self.ignore_id = ignore_id
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

    def classes(self) -> dict[str, int | None]:
        return dict.fromkeys(_OUTPUTS)

    def check_own_data(self, x: Any, y: Any, sample_weight: Any) -> None:
        if not isinstance(y, dict) or set(y) != set(_OUTPUTS):
            received = f"keys {sorted(y)}" if isinstance(y, dict) else "no targets" if y is None else type(y).__name__
            raise ValueError(
                'Without a loss in compile, fit takes ids and targets {"start": first, "end": last}.'
                f" Received: {received}"
            )
        if isinstance(sample_weight, dict) and set(sample_weight) != set(_OUTPUTS):
            raise ValueError(
                'sample_weight must be [batch], for both outputs, or a dict of "start" and "end".'
                f" Received: keys {sorted(sample_weight)}"
            )

    def scored(self, inputs: dict[str, Any], y: Any, sample_weight: Any, training: bool) -> Scored:
        mask = inputs["mask"]
        outputs = self(inputs["ids"], mask=mask, segment_ids=inputs["segment_ids"], training=training)
        if sample_weight is None:
            sample_weight = tf.ones(tf.shape(inputs["ids"])[:1])
        if not isinstance(sample_weight, dict):
            # Keras makes the same dict in `fit`.
            sample_weight = dict.fromkeys(_OUTPUTS, sample_weight)
        found = [self._score_output(n, outputs[n], y[n], mask, sample_weight[n]) for n in _OUTPUTS]
        losses, rows = zip(*found, strict=True)
        return Scored(tf.stack(losses), tf.stack([x.weights for x in rows]), rows)

    def _score_output(
        self, name: str, scores: tf.Tensor, y: Any, mask: tf.Tensor | None, weights: Any
    ) -> tuple[tf.Tensor, row_metrics.Rows]:
        """The losses `[B]` of one output, and the rows for its metrics."""
        name = f"y[{name!r}]"
        targets, weights = _per_row(name, y, tf.int32), _per_row("sample_weight", weights, tf.float32)
        counted = id_ranges.counted(targets, self.ignore_id) & (weights != 0)
        indices, right = id_ranges.within(name, targets, tf.shape(scores)[1], counted)
        if mask is not None:
            real = ~counted | tf.gather(mask, indices, batch_dims=1)
            id_ranges.refuse_eagerly(f"{name} must be indices of tokens that are not masked.", targets, real)
            right &= real
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(indices, scores)
        losses += tf.cast(id_ranges.nan_unless(right), losses.dtype)
        weights = tf.where(counted, tf.cast(weights, losses.dtype), tf.zeros([], losses.dtype))
        # The vectors are the scores themselves: a row has only as many as tokens.
        return losses, row_metrics.Rows(scores, tf.identity, indices, counted, weights, chunk=_ALL_ROWS)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "ignore_id": self.ignore_id}

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        return None


def _per_row(name: str, value: Any, dtype: tf.DType) -> tf.Tensor:
    """Converts `[B]` or `[B, 1]` to `[B]`."""
    value = tf.convert_to_tensor(value)
    column = value.shape.rank == 2 and value.shape[1] == 1
    if not (value.shape.rank == 1 or column) or (dtype.is_integer and not value.dtype.is_integer):
        raise ValueError(
            f"{name} must be {'integers' if dtype.is_integer else 'numbers'} [batch], one for each row."
            f" Received: shape {value.shape} and dtype {value.dtype.name}"
        )
    return tf.reshape(id_ranges.int32(value) if dtype.is_integer else tf.cast(value, dtype), [-1])
