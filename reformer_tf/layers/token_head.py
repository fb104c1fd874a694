"""Hidden vectors to scores of tokens, and to the losses of known tokens without keeping the scores."""

from typing import Any

import keras
import tensorflow as tf

from reformer_tf.layers import arguments
from reformer_tf.layers.token_embedding import TokenEmbedding
from reformer_tf.ops import chunking, ranges, shapes


class TokenHead(keras.layers.Layer):
    """Projects `[B, L, M]` to logits `[B, L, V]` in float32.

    Args:
        vocabulary_size: V.
        embedding: the embedding whose table is the kernel (tied weights), or None for a kernel of its own.
        use_bias: whether each token has a bias.
        **kwargs: see `keras.layers.Layer`.

    Call arguments:
        inputs: `[B, L, M]`.
    """

    def __init__(
        self, vocabulary_size: int, embedding: TokenEmbedding | None = None, use_bias: bool = True, **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.vocabulary_size = arguments.positive_integer("vocabulary_size", vocabulary_size)
        if not (embedding is None or isinstance(embedding, TokenEmbedding)):
            raise ValueError(f"embedding must be a TokenEmbedding or None. Received: embedding={embedding!r}")
        self.embedding = embedding
        self.use_bias = arguments.boolean("use_bias", use_bias)
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.kernel = None
        if self.embedding is None:
            # Normalised vectors then begin with logits of deviation 0.25: a loss near that of no knowledge.
            initializer = keras.initializers.VarianceScaling(1 / 16, "fan_in", "uniform")
            self.kernel = self.add_weight((input_shape[-1], self.vocabulary_size), initializer, name="kernel")
        self.bias = self.add_weight((self.vocabulary_size,), "zeros", name="bias") if self.use_bias else None

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        inputs = tf.convert_to_tensor(inputs)
        return self._logits(inputs, *self._weights())

    def token_losses(self, hidden: tf.Tensor, targets: tf.Tensor, ignore_id: int | None = None) -> tf.Tensor:
        """Cross-entropies of known tokens, a few rows at a time: never `L x V` numbers alive.

        Args:
            hidden: `[B, L, M]`.
            targets: integers `[B, L]` in [0, V).
            ignore_id: targets that are equal to it have no loss; None for none such.

        Returns:
            float32 `[B, L]`, nats; zero where ignored. In a graph, whose run cannot be left everywhere: NaN where the
            target is outside [0, V).

        Raises:
            ValueError: in eager mode, for targets outside [0, V) that are not ignored.
        """
        hidden = tf.cast(hidden, self.compute_dtype)
        shape, counted = shapes.sizes(targets), ranges.counted(targets, ignore_id)
        targets, right = ranges.within("targets", targets, self.vocabulary_size, counted)
        flat = [tf.reshape(hidden, [-1, hidden.shape[-1]]), tf.reshape(targets, [-1])]
        weights = [tf.cast(w, self.compute_dtype) for w in self._weights()]
        dtype = shapes.statistics_dtype(hidden.dtype)

        def rows(hidden: tf.Tensor, targets: tf.Tensor, *weights: tf.Tensor) -> tf.Tensor:
            return tf.nn.sparse_softmax_cross_entropy_with_logits(targets, self._logits(hidden, *weights))

        losses = chunking.map_rows(
            rows, flat, weights, chunking.rows_in_budget(self.vocabulary_size), tf.TensorSpec([None], dtype)
        )
        losses = tf.where(counted, tf.reshape(losses, shape), tf.zeros([], dtype))
        return losses + tf.cast(ranges.nan_unless(right), dtype)

    def _weights(self) -> list[tf.Tensor]:
        """The kernel, `[V, M]` if tied and `[M, V]` if not, and the bias, if there is one."""
        kernel = self.kernel if self.embedding is None else self.embedding.embeddings
        return [tf.convert_to_tensor(weight) for weight in (kernel, self.bias) if weight is not None]

    def _logits(self, hidden: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None = None) -> tf.Tensor:
        shape = shapes.sizes(hidden)
        flat = tf.reshape(hidden, [-1, shape[-1]])
        logits = tf.matmul(flat, tf.cast(kernel, hidden.dtype), transpose_b=self.embedding is not None)
        dtype = shapes.statistics_dtype(hidden.dtype)
        logits = tf.cast(logits, dtype)
        if bias is not None:
            logits += tf.cast(bias, dtype)
        return tf.reshape(logits, [*shape[:-1], self.vocabulary_size])

    def compute_output_spec(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        dtype = shapes.statistics_dtype(self.compute_dtype).name
        return keras.KerasTensor((*inputs.shape[:-1], self.vocabulary_size), dtype)
