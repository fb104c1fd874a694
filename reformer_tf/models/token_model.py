"""Models that score tokens: a `TokenHead` on a backbone, trained without ever holding the logits."""

from typing import Any, TypeVar

import tensorflow as tf

from reformer_tf.layers import parts
from reformer_tf.layers.token_head import TokenHead
from reformer_tf.models.backbone import ReformerBackbone
from reformer_tf.models.headed_model import HeadedModel

_Model = TypeVar("_Model", bound="TokenModel")


class TokenModel(HeadedModel):
    """Base of the models that give logits `[B, L, V]`.

    With a loss in `compile` they train like any Keras model, logits and all. Without one they train by `summed_loss`,
    which a subclass implements with the head's `token_losses`.

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
        config: dict[str, Any] = backbone.config
        if tie_embeddings and backbone.output_dim != config["hidden_dim"]:
            raise ValueError(
                'tie_embeddings must be False with combine_streams="concatenate", because the head then takes vectors'
                " twice as wide as the embedding's."
                f" Received: tie_embeddings={tie_embeddings}, combine_streams={config['combine_streams']!r}"
            )
        super().__init__(backbone, seed, name, trainable)
        embedding = backbone.token_embedding if tie_embeddings else None
        self.head = TokenHead(config["vocabulary_size"], embedding, head_bias, dtype=backbone.policy, name="head")
        self.head.build((None, None, backbone.output_dim))
        self.tie_embeddings = tie_embeddings
        self.head_bias = head_bias
        self._parts = parts.Parts(self)

    def apply_head(
        self, vectors: tf.Tensor, mask: tf.Tensor | None, seed: tf.Tensor | None, training: bool | None
    ) -> tf.Tensor:
        return self.head(vectors)

    def head_output_shape(self, ids: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return *ids, self.head.vocabulary_size

    def summed_loss(self, data: Any, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """Adds up the losses of a batch of `fit`.

        Args:
            data: what `fit` hands to a step.
            training: whether this is a training call.

        Returns:
            The weighted sum of the losses and the sum of the weights, float32 scalars.
        """
        raise NotImplementedError

    def train_step(self, data: Any) -> dict[str, Any]:
        """Keras' training step; by `summed_loss` unless the model was compiled with a loss."""
        if self._compile_loss is not None:
            return super().train_step(data)
        with tf.GradientTape() as tape:
            total, weight = self.summed_loss(data, training=True)
            # Replicas' gradients are summed, so each takes its share of the global mean, however uneven the weights.
            replica = tf.distribute.get_replica_context()
            everywhere = weight if replica is None else replica.all_reduce("sum", weight)
            loss = self.optimizer.scale_loss(tf.math.divide_no_nan(total, everywhere))
        variables = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return self._report(total, weight)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Keras' evaluation step; by `summed_loss` unless the model was compiled with a loss."""
        if self._compile_loss is not None:
            return super().test_step(data)
        return self._report(*self.summed_loss(data, training=False))

    def _report(self, total: tf.Tensor, weight: tf.Tensor) -> dict[str, Any]:
        self._loss_tracker.update_state(tf.math.divide_no_nan(total, weight), sample_weight=weight)
        return {"loss": self._loss_tracker.result()}

    @classmethod
    def from_preset(cls: type[_Model], name: str, **overrides: Any) -> _Model:
        """See `HeadedModel`; the head's weights are its own, because the published models have two streams."""
        return super().from_preset(name, **{"tie_embeddings": False, **overrides})

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        # A language model decides about causality by its class.
        del config["causal"]
        return {**config, "tie_embeddings": self.tie_embeddings, "head_bias": self.head_bias}
