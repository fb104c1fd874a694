"""Embeds the tokens before each position, for decoders that are trained on whole targets at once."""

from typing import Any

import keras
import tensorflow as tf

from reformer_tf.layers import arguments, frozen_weights, sharing
from reformer_tf.layers.checked_inputs import CheckedInputs
from reformer_tf.layers.fixed_arguments import FixedArguments
from reformer_tf.layers.token_embedding import TokenEmbedding
from reformer_tf.ops import shapes


@keras.saving.register_keras_serializable("reformer_tf")
class ShiftedEmbedding(CheckedInputs, FixedArguments):
    """Maps ids `[B, L]` to vectors `[B, L, M]`, at each position that of the token before it.

    A learnt vector stands before the first token, so no id is reserved. The last token has no vector. With a mask, the
    token before a position is the last real one before it.

    Args:
        embedding: of the tokens. It may be a part of other models, too.
        **kwargs: see `keras.layers.Layer`.

    Call arguments:
        inputs: integers `[B, L]`, ids of the embedding.
        mask: boolean `[B, L]`, True for real tokens. Other ids may be any integers.

    Returns:
        `[B, L, M]`.

    Raises:
        ValueError: as `TokenEmbedding` does, and if `embedding` is none.

    Example:
        >>> from reformer_tf.layers.token_embedding import TokenEmbedding
        >>> ShiftedEmbedding(TokenEmbedding(257, 32))(np.zeros((1, 10), "int32")).shape
        TensorShape([1, 10, 32])
    """

    fixed = frozenset({"embedding"})

    def __init__(self, embedding: TokenEmbedding, **kwargs: Any):
        super().__init__(**kwargs)
        if not isinstance(embedding, TokenEmbedding):
            raise ValueError(f"embedding must be a TokenEmbedding. Received: embedding={embedding!r}")
        self.embedding = embedding
        self.supports_masking = True

    def check_inputs(self, inputs: Any) -> None:
        arguments.token_ids("ids", inputs)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        if not self.embedding.built:
            self.embedding.build(input_shape)
        # Vectors of tokens begin at unit size, too.
        initializer = keras.initializers.RandomNormal(stddev=1.0)
        self.start = self.add_weight((self.embedding.hidden_dim,), initializer, autocast=False, name="start")

    def call(self, inputs: tf.Tensor, mask: tf.Tensor | None = None) -> tf.Tensor:
        ids = tf.convert_to_tensor(inputs)
        if mask is None:
            # The last id is looked up as well, so that it is checked.
            vectors = self.embedding(ids)
            return tf.concat([self.first(shapes.sizes(ids)[0]), vectors[:, :-1]], axis=1)
        mask = arguments.per_token("mask", mask, tf.bool, ids)
        ids, before = tf.where(mask, ids, tf.zeros([], ids.dtype)), _index_before(mask)
        vectors = self.embedding(tf.gather(ids, tf.maximum(before, 0), batch_dims=1))
        return tf.where(before[:, :, None] < 0, self.first(shapes.sizes(ids)[0]), vectors)

    def first(self, batch: shapes.Size) -> tf.Tensor:
        """The vector before the first token of each row, `[B, 1, M]`."""
        start = tf.cast(frozen_weights.value(self.start), self.compute_dtype)
        return tf.tile(start[None, None], [batch, 1, 1])

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape, self.embedding.hidden_dim)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "embedding": sharing.serialize([self.embedding])[0]}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ShiftedEmbedding":
        return cls(**{**config, "embedding": sharing.deserialize([config["embedding"]])[0]})


def _index_before(mask: tf.Tensor) -> tf.Tensor:
    """The index of the last real token before each position, int32 `[B, L]`; -1 where there is none."""
    # Real tokens first, in their order.
    real_first = tf.argsort(tf.cast(tf.logical_not(mask), tf.int32), axis=-1, stable=True)
    count = tf.cumsum(tf.cast(mask, tf.int32), axis=-1, exclusive=True)
    return tf.where(count > 0, tf.gather(real_first, tf.maximum(count - 1, 0), batch_dims=1), -1)
