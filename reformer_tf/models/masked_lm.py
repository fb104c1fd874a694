"""A masked language model: a Reformer that predicts hidden tokens."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from reformer_tf.layers import arguments
from reformer_tf.models import backbone_choice
from reformer_tf.models.backbone import ReformerBackbone
from reformer_tf.models.headed_model import as_ids
from reformer_tf.models.own_loss_model import Scored
from reformer_tf.models.token_model import TokenModel
from reformer_tf.ops import id_ranges


@keras.saving.register_keras_serializable("reformer_tf")
class ReformerMaskedLM(TokenModel):
    """A masked language model: ids `[B, L]` to logits `[B, L, V]`, each position scoring its own token.

    The caller chooses the tokens to predict and the ids that replace them: no id is reserved. `token_losses`
    gives the losses of known tokens without forming the logits; `compile(optimizer)` without a loss and
    `fit(ids, targets, sample_weight=weights)` train with it, where weights `[B, L]` are one for the tokens to predict
    and zero elsewhere; or `fit(ids, targets)`, where the targets elsewhere are `ignore_id`. Metrics of `compile` score
    the targets that count. With a loss, the model trains like any Keras model, and forms the logits.

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
        tie_embeddings: whether the head's kernel is the table of the token embedding. Not possible with
            `combine_streams="concatenate"`.
        head_bias: whether the head has a bias for each token.
        seed: non-negative integer from which each layer's own seed comes; 0 if None.
        dtype: dtype policy of all layers, for instance `"mixed_bfloat16"`. Logits and losses are float32.
        name: of the model.
        trainable: see `keras.Model`.
        ignore_id: targets equal to it do not count; None if all count. The default is that of Hugging Face's data
            collators. With a loss in `compile`, that loss decides (Keras' losses have `ignore_class`).
        backbone: a backbone that is not causal, in place of all arguments that a backbone has. It is shared, not
            copied.
        **options: further arguments of `ReformerBackbone` (`chunk_length`, `num_hashes`, `dropout`, ...).

    Call arguments:
        inputs: integers `[B, L]`, 1 <= L <= max_sequence_length; or a dict of them as `"ids"` and of `"mask"` and
            `"segment_ids"`.
        mask: boolean `[B, L]`, True for real tokens (tokens to predict are real too).
        segment_ids: integers `[B, L]`; tokens of different segments do not see each other.
        seed: int32 `[2]` = (base, step) or `[3]` = (base, step, row offset), decides all randomness of a training call.
        training: whether this is a training call.

    Returns:
        float32 `[B, L, V]`.

    Raises:
        ValueError: for sizes that are missing or not positive, unknown kinds, lists that do not fit, tied embeddings
            with concatenated streams, arguments that the backbone has already, or a causal backbone.

    Example:
        >>> model = ReformerMaskedLM(257, 1024, 2, 32, 2, 16, 64, ["local", "lsh"])
        >>> model(np.zeros((1, 1000), "int32")).shape
        TensorShape([1, 1000, 257])
        >>> model.token_losses(np.zeros((1, 1000), "int32"), targets=np.ones((1, 1000), "int32")).shape
        TensorShape([1, 1000])

    References:
        Devlin, Chang, Lee, Toutanova, 2019, BERT, section 3.1, 'Masked LM'.
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
        tie_embeddings: bool = True,
        head_bias: bool = True,
        seed: int | None = None,
        dtype: Any = None,
        name: str | None = None,
        trainable: bool = True,
        ignore_id: int | None = -100,
        backbone: ReformerBackbone | None = None,
        **options: Any,
    ):
        ignore_id = arguments.optional(arguments.integer, "ignore_id", ignore_id)
        if "causal" in options:
            raise ValueError(f"causal is always False in ReformerMaskedLM. Received: causal={options['causal']}")
        if isinstance(backbone, ReformerBackbone) and backbone.config["causal"]:
            raise ValueError(
                "backbone must not be causal, because a hidden token is predicted from both sides."
                f" Received: backbone={backbone.name} with causal=True"
            )
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
        super().__init__(backbone, tie_embeddings, head_bias, backbone.config["seed"], name, trainable)
        self.ignore_id = ignore_id

    def token_losses(
        self,
        ids: tf.Tensor,
        targets: tf.Tensor,
        mask: tf.Tensor | None = None,
        training: bool = False,
        seed: tf.Tensor | None = None,
        segment_ids: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """The loss of predicting each token's target, computed without holding all logits.

        Args:
            ids: integers `[B, L]`, 1 <= L <= max_sequence_length.
            targets: integers `[B, L]` in [0, V), or `ignore_id`; anything where masked.
            mask: boolean `[B, L]`, True for real tokens.
            training: whether this is a training call.
            seed: int32 `[2]` or `[3]`, decides all randomness of a training call.
            segment_ids: integers `[B, L]`; tokens of different segments do not see each other.

        Returns:
            float32 `[B, L]`, nats; zero where masked or ignored. In a graph: NaN where an id that is not masked, or a
            target that counts, is outside the vocabulary.

        Raises:
            ValueError: if the shapes of `ids`, `targets` and `mask` differ, or they are too long; in eager mode for ids
                and targets outside the vocabulary.
        """
        hidden, targets, counted = self._hidden_and_targets(ids, mask, segment_ids, targets, None, training, seed)
        losses = self.head.token_losses(hidden, targets)
        return tf.where(counted, losses, tf.zeros([], losses.dtype))

    def token_scores(
        self,
        ids: tf.Tensor,
        targets: tf.Tensor,
        mask: tf.Tensor | None = None,
        training: bool = False,
        seed: tf.Tensor | None = None,
        segment_ids: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The losses of `token_losses`, and whether the likeliest token is the target. For evaluations.

        Args:
            ids: as `token_losses` takes them, like all other arguments.
            targets: integers `[B, L]` in [0, V), or `ignore_id`; anything where masked.
            mask: boolean `[B, L]`, True for real tokens.
            training: whether this is a training call.
            seed: int32 `[2]` or `[3]`, decides all randomness of a training call.
            segment_ids: integers `[B, L]`; tokens of different segments do not see each other.

        Returns:
            float32 `[B, L]`, nats, and boolean `[B, L]`; zero and False where masked or ignored.

        Raises:
            ValueError: as `token_losses` does.

        Example:
            >>> model = ReformerMaskedLM(257, 1024, 1, 16, 2, 8, 32, ["local"])
            >>> losses, right = model.token_scores(np.zeros((2, 100), "int32"), targets=np.ones((2, 100), "int32"))
            >>> losses.shape, right.shape
            (TensorShape([2, 100]), TensorShape([2, 100]))
        """
        return self.scores_of_tokens(*self._hidden_and_targets(ids, mask, segment_ids, targets, None, training, seed))

    def _hidden_and_targets(
        self, ids: tf.Tensor, mask: Any, segment_ids: Any, targets: Any, weights: Any, training: bool, seed: Any
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The vectors of all tokens, their targets, and whether these count."""
        ids = as_ids(ids)
        targets = arguments.per_token("targets", targets, tf.int32, ids)
        counted = id_ranges.counted(targets, self.ignore_id)
        if mask is not None:
            mask = arguments.per_token("mask", mask, tf.bool, ids)
            counted &= mask
        if weights is not None:
            counted &= weights != 0
        seed = self.resolve_seed(seed, training, ids)
        # A target that does not count may be anything.
        return self.encode(ids, mask, segment_ids, seed, training), tf.where(counted, targets, 0), counted

    def check_own_data(self, x: Any, y: Any, sample_weight: Any) -> None:
        if y is None:
            raise ValueError("Without a loss in compile, fit takes ids and targets. Received: no targets")

    def scored(self, inputs: dict[str, Any], y: Any, sample_weight: Any, training: bool) -> Scored:
        weights = None if sample_weight is None else _per_token_weights(sample_weight, inputs["ids"])
        tokens = self._hidden_and_targets(**inputs, targets=y, weights=weights, training=training, seed=None)
        return self.scored_tokens(*tokens, weights)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "ignore_id": self.ignore_id}


def _per_token_weights(weights: Any, ids: tf.Tensor) -> tf.Tensor:
    """`sample_weight` as float32 `[B, L]` or `[B, 1]`."""
    if isinstance(weights, dict):
        raise ValueError(f"sample_weight must be [batch] or [batch, length]. Received: a dict of {sorted(weights)}")
    arguments.dense("sample_weight", weights)
    weights = tf.cast(weights, tf.float32)
    if weights.shape.rank == 1:
        weights = weights[:, None]
    fits = weights.shape.rank == 2 and weights.shape[1] in (1, None, ids.shape[1])
    if not fits and not (weights.shape.rank == 2 and ids.shape[1] is None):
        raise ValueError(
            f"sample_weight must be [batch] or [batch, length] = {tuple(ids.shape)}. Received: shape {weights.shape}"
        )
    return weights
