"""A Reformer that classifies sequences."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from reformer_tf.layers import arguments, parts
from reformer_tf.layers.dropout import SeededDropout
from reformer_tf.models import backbone_choice, model_arguments, text_pairs
from reformer_tf.models.backbone import ReformerBackbone
from reformer_tf.models.headed_model import HeadedModel
from reformer_tf.ops import shapes

_POOLINGS = ("first", "last", "mean")


@keras.saving.register_keras_serializable("reformer_tf")
class ReformerClassifier(HeadedModel):
    """A classifier of sequences: ids `[B, L]` to one logit a class, `[B, num_classes]`.

    The head is dropout, a dense layer with tanh, dropout, and a dense layer, on one vector of each sequence. The model
    trains like any Keras model, for instance with `keras.losses.SparseCategoricalCrossentropy(from_logits=True)`;
    sequences of different lengths are padded and passed as `fit({"ids": ids, "mask": mask}, labels)`.

    With `pair=True` it classifies pairs of sequences: one encoder reads both, and the head's vector is
    [x1, x2, x1 x2, x1 - x2] of the vectors x1 and x2 of the two. Sequences of different lengths are padded to the
    longer one, which changes nothing but for kinds of attention that depend on padding (`window="chunk"`).

    All sizes must be passed, or a backbone in their place.

    Args:
        vocabulary_size: V, the number of token ids.
        max_sequence_length: the longest input.
        num_layers: the number of blocks.
        hidden_dim: M, the width of each residual stream and of the head's inner layer.
        num_heads: H, the number of attention heads.
        key_dim: D, the size of a head.
        intermediate_dim: the inner width of the feed-forward layers.
        attention_layers: the kind of attention of each layer, or a pattern of kinds that is repeated.
        num_classes: the number of classes.
        pooling: the vector of a sequence: `"first"` or `"last"`, the vector of its first or last token that is not
            masked, or `"mean"`, the mean over all tokens that are not masked. If the model is causal, the last token
            is the only one that sees all others, and `"first"` is refused. A sequence that is entirely masked has the
            zero vector.
        dropout: fraction of embeddings and branch outputs to drop in training; 0 if None.
        head_dropout: fraction of the head's vectors to drop in training; `dropout` if None.
        seed: non-negative integer from which each layer's own seed comes; 0 if None.
        dtype: dtype policy of all layers, for instance `"mixed_bfloat16"`. Logits are float32.
        name: of the model.
        trainable: see `keras.Model`.
        backbone: a backbone, such as a language model's, in place of all arguments that a backbone has. It is shared,
            not copied: training the classifier changes the language model, too.
        pair: whether the inputs are pairs of sequences.
        **options: further arguments of `ReformerBackbone` (`chunk_length`, `num_hashes`, `causal`, ...).

    Call arguments:
        inputs: integers `[B, L]`, 1 <= L <= max_sequence_length; or a dict of them as `"ids"` and of `"mask"` and
            `"segment_ids"`. With `pair=True`, a dict of `"ids"` and `"pair_ids"`, and optionally of `"mask"` and
            `"pair_mask"`; then the arguments `mask` and `segment_ids` stay None.
        mask: boolean `[B, L]`, True for real tokens.
        segment_ids: integers `[B, L]`; tokens of different segments do not see each other.
        seed: int32 `[2]` = (base, step) or `[3]` = (base, step, row offset), decides all randomness of a training call.
            The two sequences of a pair have dropout of their own.
        training: whether this is a training call.

    Returns:
        float32 `[B, num_classes]`.

    Raises:
        ValueError: for sizes that are missing or not positive, unknown kinds or poolings, lists that do not fit,
            arguments that the backbone has already, or the first token of a causal backbone as the pooling; and in a
            call for inputs that are not as `pair` says.

    Example:
        >>> model = ReformerClassifier(257, 1024, 2, 32, 2, 16, 64, ["local", "lsh"], num_classes=3)
        >>> model(np.zeros((5, 1000), "int32")).shape
        TensorShape([5, 3])

        On the backbone of a language model:

        >>> from reformer_tf.models import ReformerCausalLM
        >>> language_model = ReformerCausalLM(257, 1024, 2, 32, 2, 16, 64, ["local", "lsh"])
        >>> model = ReformerClassifier(backbone=language_model.backbone, num_classes=3, pooling="last")
        >>> model(np.zeros((5, 1000), "int32")).shape
        TensorShape([5, 3])

        Of pairs:

        >>> model = ReformerClassifier(257, 1024, 2, 32, 2, 16, 64, ["local", "lsh"], num_classes=2, pair=True)
        >>> model({"ids": np.zeros((5, 900), "int32"), "pair_ids": np.zeros((5, 1000), "int32")}).shape
        TensorShape([5, 2])

    References:
        Devlin, Chang, Lee, Toutanova, 2019, BERT, section 3.2.
        Tay et al., 2021, Long Range Arena, section 2.2.3, for pairs.
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
        num_classes: int | None = None,
        pooling: str = "first",
        dropout: float | None = None,
        head_dropout: float | None = None,
        seed: int | None = None,
        dtype: Any = None,
        name: str | None = None,
        trainable: bool = True,
        backbone: ReformerBackbone | None = None,
        pair: bool = False,
        **options: Any,
    ):
        num_classes = arguments.positive_integer("num_classes", num_classes)
        arguments.choice("pooling", pooling, _POOLINGS)
        arguments.boolean("pair", pair)
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
                "dropout": dropout,
                "seed": seed,
                "dtype": dtype,
            },
            options,
        )
        if backbone.config["causal"] and pooling == "first":
            raise ValueError(
                'pooling must be "last" or "mean" if the backbone is causal, because its first token sees no other.'
                f" Received: pooling={pooling!r}, causal=True"
            )
        super().__init__(backbone, backbone.config["seed"], name, trainable)
        self.num_classes = num_classes
        self.head_dropout = None if head_dropout is None else arguments.rate("head_dropout", head_dropout)
        hidden_dim = backbone.config["hidden_dim"]
        rate = backbone.config["dropout"] if self.head_dropout is None else self.head_dropout
        self.pooling = pooling
        self.pair = pair
        policy, seeds = backbone.policy, reversed(model_arguments.layer_seeds(backbone.config["seed"]))
        self.input_dropout = SeededDropout(rate, next(seeds), dtype=policy, name="input_dropout")
        # The head computes in at least float32: it is small, and its gradient sums over rows.
        dtype = shapes.statistics_dtype(policy.compute_dtype).name
        self.hidden = keras.layers.Dense(hidden_dim, activation="tanh", dtype=dtype, name="hidden")
        self.hidden_dropout = SeededDropout(rate, next(seeds), dtype=dtype, name="hidden_dropout")
        self.output_projection = keras.layers.Dense(num_classes, dtype=dtype, name="output_projection")
        self.hidden.build((None, 1, backbone.output_dim * (4 if pair else 1)))
        self.output_projection.build((None, 1, hidden_dim))
        self._parts = parts.Parts(self)

    takes_class_weight = True

    def check_inputs(self, inputs: Any) -> None:
        if self.pair:
            text_pairs.by_name(inputs)
        else:
            super().check_inputs(inputs)

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        segment_ids: tf.Tensor | None = None,
        seed: tf.Tensor | None = None,
        training: bool | None = None,
    ) -> tf.Tensor:
        if self.pair:
            inputs, mask = self._interleaved(text_pairs.with_masks(inputs, mask, segment_ids)), None
            seed = text_pairs.seed_of_rows(seed)
        return super().call(inputs, mask, segment_ids, seed, training)

    def nan_unless_known(self, inputs: Any) -> tf.Tensor:
        return super().nan_unless_known(self._interleaved(inputs) if self.pair else inputs)

    def _interleaved(self, inputs: Any) -> dict[str, Any]:
        return text_pairs.interleaved(inputs, self.backbone.config["max_sequence_length"])

    def apply_head(
        self, vectors: tf.Tensor, mask: tf.Tensor | None, seed: tf.Tensor | None, training: bool | None
    ) -> tf.Tensor:
        x = self._pooled(vectors, mask)
        if self.pair:
            x, seed = text_pairs.compared(x), text_pairs.seed_of_pairs(seed)
        x = self.hidden(self.input_dropout(x, seed=seed, training=training))
        return self.output_projection(self.hidden_dropout(x, seed=seed, training=training))[:, 0]

    def _pooled(self, vectors: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
        """One vector a sequence, `[B, 1, M]`."""
        if mask is None:
            mask = tf.ones(tf.shape(vectors)[:2], tf.bool)
        mask = arguments.per_token("mask", mask, tf.bool, vectors)
        if self.pooling != "mean":
            real = tf.cast(mask, tf.int32)
            if self.pooling == "first":
                index = tf.argmax(real, axis=1, output_type=tf.int32)  # argmax takes the first
            else:
                index = tf.reduce_max(real * tf.range(tf.shape(real)[1]), axis=1)
            chosen = tf.gather(vectors, index[:, None], batch_dims=1)
            return tf.where(tf.reduce_any(mask, axis=1)[:, None, None], chosen, tf.zeros([], chosen.dtype))
        # The sum of thousands of vectors would suffer in half precision.
        vectors = tf.cast(vectors, shapes.statistics_dtype(vectors.dtype))
        weights = tf.cast(mask, vectors.dtype)[:, :, None]
        total = tf.reduce_sum(vectors * weights, axis=1, keepdims=True)
        return tf.math.divide_no_nan(total, tf.reduce_sum(weights, axis=1, keepdims=True))

    def head_output_shape(self, ids: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return ids[0], self.num_classes

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        return None

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "ReformerClassifier":
        if not config.get("causal") or config.get("pooling") != "first":
            return super().from_config(config, custom_objects)
        # Files of models from before the constructor refused this still load. No weight depends on the pooling.
        model = super().from_config({**config, "pooling": "last"}, custom_objects)
        model.pooling = "first"
        return model

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "pooling": self.pooling,
            "head_dropout": self.head_dropout,
            "pair": self.pair,
        }
