"""Base of the models that score tokens: a `TokenHead` on a backbone, trained without ever holding all logits."""

from typing import Any, TypeVar

import tensorflow as tf

from reformer_tf.layers import parts
from reformer_tf.models import token_scores
from reformer_tf.models.backbone import ReformerBackbone
from reformer_tf.models.headed_model import HeadedModel
from reformer_tf.models.token_scores import TokenScores

_Model = TypeVar("_Model", bound="TokenModel")


class TokenModel(TokenScores, HeadedModel):
    """Base of the models that give logits `[B, L, V]`.

    With a loss in `compile` they train like any Keras model, and form the logits. Without one they train by the losses
    of their tokens, see `OwnLossModel`; a subclass implements `scored` with `scored_tokens`.

    Args:
        backbone: the model's backbone.
        tie_embeddings: whether the head's kernel is the table of the token embedding.
        head_bias: whether the head has a bias for each token.
        seed: see `HeadedModel`.
        name: see `HeadedModel`.
        trainable: see `HeadedModel`.

    Raises:
        ValueError: if embeddings are tied and the streams concatenated.
    """

    def __init__(
        self,
        backbone: ReformerBackbone,
        tie_embeddings: bool,
        head_bias: bool,
        seed: int,
        name: str | None,
        trainable: bool,
    ):
        head = token_scores.make_head(backbone, tie_embeddings, head_bias)
        super().__init__(backbone, seed, name, trainable)
        self.tie_embeddings = tie_embeddings
        self.head_bias = head_bias
        self.head = head
        self._parts = parts.Parts(self)

    def apply_head(
        self, vectors: tf.Tensor, mask: tf.Tensor | None, seed: tf.Tensor | None, training: bool | None
    ) -> tf.Tensor:
        return self.head(vectors)

    def head_output_shape(self, ids: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return *ids, self.head.vocabulary_size

    @classmethod
    def from_preset(cls: type[_Model], name: str, **overrides: Any) -> _Model:
        """See `HeadedModel`; the head's weights are its own, because the published models have two streams."""
        return super().from_preset(name, **{"tie_embeddings": False, **overrides})

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        # A language model decides about causality by its class.
        del config["causal"]
        return {**config, "tie_embeddings": self.tie_embeddings, "head_bias": self.head_bias}
