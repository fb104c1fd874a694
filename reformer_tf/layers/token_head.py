"""The head of a language model: logits of tokens, and losses of targets without storing all logits."""

from typing import Any

import keras
import tensorflow as tf

from reformer_tf.layers import arguments, frozen_weights, sharing
from reformer_tf.layers.checked_inputs import VectorLayer
from reformer_tf.layers.fixed_arguments import FixedArguments
from reformer_tf.layers.not_quantized import NotQuantized
from reformer_tf.layers.token_embedding import TokenEmbedding
from reformer_tf.ops import id_ranges, shapes, sums
from reformer_tf.ops.execution import row_chunks


@keras.saving.register_keras_serializable("reformer_tf")
class TokenHead(VectorLayer, NotQuantized, FixedArguments):
    """Projects `[B, L, M]` to logits `[B, L, V]` in float32.

    Weights that are tied to an embedding stay tied when a model with both is saved and loaded.

    Args:
        vocabulary_size: V.
        embedding: the embedding whose table is the kernel (tied weights), or None for a kernel of its own.
        use_bias: whether each token has a bias.
        **kwargs: see `keras.layers.Layer`.

    Call arguments:
        inputs: `[B, L, M]`.

    Raises:
        ValueError: for a size that is not positive, or when a layer with tied weights is cloned by itself.

    Example:
        >>> TokenHead(vocabulary_size=257)(np.ones((1, 10, 16))).shape
        TensorShape([1, 10, 257])
    """

    fixed = frozenset({"vocabulary_size", "use_bias", "embedding"})

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
            # Normalised vectors start with logits of deviation 0.25: a loss close to that of a uniform distribution.
            initializer = keras.initializers.VarianceScaling(1 / 16, "fan_in", "uniform")
            shape = (input_shape[-1], self.vocabulary_size)
            self.kernel = self.add_weight(shape, initializer, autocast=False, name="kernel")
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight((self.vocabulary_size,), "zeros", autocast=False, name="bias")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        inputs = tf.convert_to_tensor(inputs)
        return self._logits(inputs, *map(frozen_weights.value, self._used_weights()))

    def token_losses(
        self, hidden: tf.Tensor, targets: tf.Tensor, ignore_id: int | None = None, label_smoothing: float = 0.0
    ) -> tf.Tensor:
        """Computes cross-entropies of targets, a few rows at a time, so that `L x V` logits are never alive together.

        Args:
            hidden: `[B, L, M]`.
            targets: integers `[B, L]` in [0, V).
            ignore_id: targets equal to it have no loss; None if all count.
            label_smoothing: the part of a target's probability that is spread evenly over all V tokens, in [0, 1)
                (Szegedy et al., 2016, section 7). The loss is the cross-entropy of that distribution.

        Returns:
            float32 `[B, L]`, nats; zero where ignored. In a graph, which cannot raise errors on every device: NaN
            where the target is outside [0, V).

        Raises:
            ValueError: in eager mode, for targets outside [0, V) that are not ignored.
        """
        for name, value in (("hidden", hidden), ("targets", targets)):
            arguments.dense(name, value)
        label_smoothing = arguments.rate("label_smoothing", label_smoothing)
        hidden = tf.cast(hidden, self.compute_dtype)
        shape, counted = shapes.sizes(targets), id_ranges.counted(targets, ignore_id)
        targets, right = id_ranges.within("targets", targets, self.vocabulary_size, counted)
        flat = [tf.reshape(hidden, [-1, hidden.shape[-1]]), tf.reshape(targets, [-1])]
        variables = self._used_weights()
        kernel, *others = map(frozen_weights.value, variables)
        kernel = tf.cast(kernel, self.compute_dtype)  # once, not for each chunk
        weights, joined = frozen_weights.separated(variables, [kernel, *others])
        dtype = shapes.statistics_dtype(hidden.dtype)

        def rows(hidden: tf.Tensor, targets: tf.Tensor, *weights: tf.Tensor) -> tf.Tensor:
            logits = self._logits(hidden, *joined(weights))
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
            if not label_smoothing:
                return losses
            of_all = tf.reduce_logsumexp(logits, axis=-1) - tf.reduce_mean(logits, axis=-1)
            return (1.0 - label_smoothing) * losses + label_smoothing * of_all

        losses = row_chunks.map_rows(
            rows, flat, weights, row_chunks.rows_in_budget(self.vocabulary_size), tf.TensorSpec([None], dtype)
        )
        losses = tf.where(counted, tf.reshape(losses, shape), tf.zeros([], dtype))
        return losses + tf.cast(id_ranges.nan_unless(right), dtype)

    def are_likeliest(self, hidden: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Finds out which targets have the largest logit, a few rows at a time. No gradient goes through it.

        Args:
            hidden: `[B, L, M]`.
            targets: integers `[B, L]`.

        Returns:
            boolean `[B, L]`. Of several largest logits that of the smallest id counts.

        Example:
            >>> head = TokenHead(vocabulary_size=257)
            >>> vectors = np.ones((1, 10, 16), "float32")
            >>> targets = np.argmax(head(vectors), axis=-1)
            >>> bool(np.all(head.are_likeliest(vectors, targets)))
            True
        """
        hidden, targets = tf.stop_gradient(tf.cast(hidden, self.compute_dtype)), id_ranges.int32(targets)
        weights = [tf.stop_gradient(frozen_weights.value(variable)) for variable in self._used_weights()]

        def rows(hidden: tf.Tensor, targets: tf.Tensor, *weights: tf.Tensor) -> tf.Tensor:
            return tf.equal(tf.argmax(self._logits(hidden, *weights), axis=-1, output_type=tf.int32), targets)

        flat = [tf.reshape(hidden, [-1, hidden.shape[-1]]), tf.reshape(targets, [-1])]
        chunk = row_chunks.rows_in_budget(self.vocabulary_size)
        right = row_chunks.map_rows(rows, flat, weights, chunk, tf.TensorSpec([None], tf.bool))
        return tf.reshape(right, shapes.sizes(targets))

    def _used_weights(self) -> list[keras.Variable]:
        """The kernel, `[V, M]` if tied and `[M, V]` if not; the bias, if there is one; the tied embedding's adapter."""
        own = [self.kernel if self.embedding is None else self.embedding.embeddings, self.bias]
        adapters = [] if self.embedding is None else self.embedding.adapters().values()
        return [*(x for x in own if x is not None), *(weight for adapter in adapters for weight in adapter[:2])]

    def _logits(self, hidden: tf.Tensor, kernel: tf.Tensor, *others: tf.Tensor) -> tf.Tensor:
        shape, (bias, adapter) = shapes.sizes(hidden), (others[:1], others[1:]) if self.use_bias else ((), others)
        flat = tf.reshape(hidden, [-1, shape[-1]])
        logits = sums.wide(sums.matmul(flat, kernel, transpose_b=self.embedding is not None))
        if adapter and self.embedding is not None:
            a, b = adapter
            inner = sums.matmul(flat, b, transpose_b=True)
            logits += sums.wide(self.embedding.expanded(inner, a, transpose_b=True))
        if bias:
            logits += tf.cast(bias[0], logits.dtype)
        return tf.reshape(logits, [*shape[:-1], self.vocabulary_size])

    def compute_output_spec(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        dtype = shapes.statistics_dtype(self.compute_dtype).name
        return keras.KerasTensor((*inputs.shape[:-1], self.vocabulary_size), dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], self.vocabulary_size)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "embedding": None if self.embedding is None else sharing.serialize([self.embedding])[0],
            "use_bias": self.use_bias,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "TokenHead":
        embedding = config["embedding"]
        if embedding is None:
            return cls(**config)
        if not sharing.is_loading():
            raise ValueError(
                "embedding must be a layer of the new model, which a config by itself does not have: save and load the"
                " model, or make TokenHead(vocabulary_size, embedding) with the clone of the embedding."
                f" Received: the config of {config['name']}, tied to {embedding['config']['name']}"
            )
        return cls(**{**config, "embedding": sharing.deserialize([embedding])[0]})
