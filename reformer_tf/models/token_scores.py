"""Models whose targets are tokens: they score them without ever holding all logits."""

import tensorflow as tf

from reformer_tf.layers import arguments
from reformer_tf.layers.token_head import TokenHead
from reformer_tf.models import row_metrics
from reformer_tf.models.backbone import ReformerBackbone
from reformer_tf.models.decoder import ReformerDecoder
from reformer_tf.models.own_loss_model import OwnLossModel, Scored
from reformer_tf.ops import id_ranges
from reformer_tf.ops.execution import row_chunks


class TokenScores(OwnLossModel):
    """Base of the models with a `TokenHead`; a subclass makes it, and implements `scored` with `scored_tokens`.

    Attributes:
        head: the head.
    """

    head: TokenHead

    def classes(self) -> int:
        return self.head.vocabulary_size

    def scored_tokens(
        self,
        hidden: tf.Tensor,
        targets: tf.Tensor,
        counted: tf.Tensor,
        weights: tf.Tensor | None = None,
        label_smoothing: float = 0.0,
    ) -> Scored:
        """Scores tokens without ever holding all their logits.

        Args:
            hidden: `[B, L, M]`, the backbone's vectors.
            targets: integers `[B, L]`, in [0, V) where they count.
            counted: boolean `[B, L]`.
            weights: float32 `[B, L]` or `[B, 1]`, where targets count; all equal if None.
            label_smoothing: of the losses, see `TokenHead.token_losses`.
        """
        targets, right = id_ranges.within("targets", targets, self.classes(), counted)
        losses = self.head.token_losses(hidden, targets, label_smoothing=label_smoothing)
        losses += tf.cast(id_ranges.nan_unless(right), losses.dtype)
        weights = tf.cast(counted, losses.dtype) * (1.0 if weights is None else tf.cast(weights, losses.dtype))
        rows = row_metrics.Rows(
            vectors=tf.reshape(hidden, [-1, hidden.shape[-1]]),
            scores=self.head,
            targets=tf.reshape(targets, [-1]),
            counted=tf.reshape(counted, [-1]),
            weights=tf.reshape(weights, [-1]),
            chunk=row_chunks.rows_in_budget(self.classes()),
        )
        return Scored(losses, weights, [rows])

    def scores_of_tokens(
        self, hidden: tf.Tensor, targets: tf.Tensor, counted: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the losses of tokens and whether each is the likeliest one: zero and False where they do not count.

        Args:
            hidden: `[B, L, M]`, the backbone's vectors.
            targets: integers `[B, L]`, in [0, V) where they count.
            counted: boolean `[B, L]`.

        Returns:
            Losses `[B, L]` in nats, float32 (float64 of a float64 policy), and boolean `[B, L]`.
        """
        losses = self.head.token_losses(hidden, targets)
        losses = tf.where(counted, losses, tf.zeros([], losses.dtype))
        return losses, self.head.are_likeliest(hidden, targets) & counted


def make_head(backbone: ReformerBackbone | ReformerDecoder, tie_embeddings: bool, head_bias: bool) -> TokenHead:
    """Makes and builds the head of a model.

    Args:
        backbone: whose vectors the head takes, and whose tokens it scores.
        tie_embeddings: whether the head's kernel is the table of the token embedding.
        head_bias: whether the head has a bias for each token.

    Raises:
        ValueError: for arguments that are no booleans, and if embeddings are tied and the streams concatenated.
    """
    arguments.boolean("tie_embeddings", tie_embeddings)
    arguments.boolean("head_bias", head_bias)
    config = backbone.config
    if tie_embeddings and backbone.output_dim != config["hidden_dim"]:
        raise ValueError(
            'tie_embeddings must be False with combine_streams="concatenate", because the head then takes vectors twice'
            " as wide as the embedding's."
            f" Received: tie_embeddings={tie_embeddings}, combine_streams={config['combine_streams']!r}"
        )
    embedding = backbone.token_embedding if tie_embeddings else None
    head = TokenHead(config["vocabulary_size"], embedding, head_bias, dtype=backbone.policy, name="head")
    head.build((None, None, backbone.output_dim))
    return head
