"""Token ids to vectors."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from reformer_tf.layers import arguments
from reformer_tf.layers.checked_inputs import CheckedInputs
from reformer_tf.layers.fixed_arguments import FixedArguments
from reformer_tf.layers.frozen_weights import value
from reformer_tf.layers.low_rank import Kernel, LowRankAdapted
from reformer_tf.ops import id_ranges, shapes, sums


@keras.saving.register_keras_serializable("reformer_tf")
class TokenEmbedding(CheckedInputs, LowRankAdapted, FixedArguments):
    """Looks up a vector for each token, checks the length, and passes an implicit mask on.

    Vectors are the table's rows times `scale`, by default `sqrt(hidden_dim)` (Vaswani et al., 2017, section 3.4): with
    the default initializer they start at unit size, like the outputs of branches that are added to them, while the
    table itself suits a head with tied weights. No id is reserved: a mask comes from the caller, never from an id.

    Args:
        vocabulary_size: V, the number of ids.
        hidden_dim: M, the width of the vectors.
        max_sequence_length: the longest input, or None for no limit.
        embeddings_initializer: of the table; by default normal with standard deviation `hidden_dim ** -0.5`.
        scale: factor of the vectors; `sqrt(hidden_dim)` if None. The released models have 1.
        **kwargs: see `keras.layers.Layer`, and `LowRankAdapted` for `lora_rank`, `lora_alpha` and `lora_kernels`.

    Call arguments:
        inputs: integers `[B, L]` in [0, V).
        mask: boolean `[B, L]`, True for real tokens. Ids of other tokens may be any integers.

    Returns:
        `[B, L, M]`. In a graph, which cannot raise errors on every device: NaN for an id outside [0, V), and all NaN if
        the input is longer than `max_sequence_length`.

    Raises:
        ValueError: for sizes or a scale that are not positive, an empty input or one beyond `max_sequence_length`; in
            eager mode for ids outside [0, V).

    Example:
        >>> TokenEmbedding(257, 32)(np.zeros((1, 10), "int32")).shape
        TensorShape([1, 10, 32])
    """

    fixed = frozenset({"vocabulary_size", "hidden_dim"})

    def __init__(
        self,
        vocabulary_size: int,
        hidden_dim: int,
        max_sequence_length: int | None = None,
        embeddings_initializer: Any = None,
        scale: float | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.vocabulary_size = arguments.positive_integer("vocabulary_size", vocabulary_size)
        self.hidden_dim = arguments.positive_integer("hidden_dim", hidden_dim)
        self.max_sequence_length = arguments.optional(
            arguments.positive_integer, "max_sequence_length", max_sequence_length
        )
        if embeddings_initializer is None:
            embeddings_initializer = keras.initializers.RandomNormal(stddev=hidden_dim**-0.5)
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)
        self.scale = None if scale is None else arguments.positive_number("scale", scale)
        self.supports_masking = True

    def check_inputs(self, inputs: Any) -> None:
        arguments.token_ids("ids", inputs)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        shape = (self.vocabulary_size, self.hidden_dim)
        # Keras must not cast the table: the gradient of a look-up sums the tokens of an id in the table's dtype.
        self.embeddings = self.add_weight(shape, self.embeddings_initializer, autocast=False, name="embeddings")
        self.build_lora()

    def kernels(self) -> Mapping[str, Kernel]:
        return {"embeddings": Kernel(self.embeddings, input_axes=1)}

    def call(self, inputs: tf.Tensor, mask: tf.Tensor | None = None) -> tf.Tensor:
        ids, right = self.checked(inputs, mask)
        table = value(self.embeddings)
        scale = self.hidden_dim**0.5 if self.scale is None else self.scale
        # The table is scaled instead of the vectors, because there may be many more vectors than rows.
        table = table if scale == 1 else table * tf.constant(scale, table.dtype)
        adapter = self.adapters().get("embeddings")
        vectors = sums.look_up(table, ids, None if adapter else tf.as_dtype(self.compute_dtype))
        if adapter is not None:
            inner = tf.reshape(sums.look_up(value(adapter.a), ids), [-1, adapter.a.shape[-1]])
            inner = inner if scale == 1 else inner * tf.constant(scale, inner.dtype)
            vectors += tf.reshape(self.expanded(inner, value(adapter.b)), shapes.sizes(vectors))
        vectors = tf.cast(vectors, self.compute_dtype)
        return vectors + tf.cast(id_ranges.nan_unless(right), vectors.dtype)[:, :, None]

    def checked(self, inputs: tf.Tensor, mask: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        """Ids that are safe to look up, and which of them the caller passed.

        Args:
            inputs: as in a call.
            mask: as in a call.

        Returns:
            int32 `[B, L]` in [0, V); and boolean `[B, L]`, False for a token whose id was outside, and for all tokens
            of an input that is too long.

        Raises:
            ValueError: as a call does.
        """
        inputs = tf.convert_to_tensor(inputs)
        fits = self._fits(shapes.sizes(inputs)[1])
        if mask is not None:
            mask = arguments.per_token("mask", mask, tf.bool, inputs)
        ids, right = id_ranges.within("ids", inputs, self.vocabulary_size, mask)
        return ids, right & fits

    def _fits(self, length: shapes.Size) -> Any:
        """Whether the length is in range; see `id_ranges.at_most`."""
        longest = self.max_sequence_length
        rule = f"ids must hold at least 1 token a row and at most max_sequence_length={longest}."
        if isinstance(length, int):
            if length < 1 or (longest is not None and length > longest):
                raise ValueError(f"{rule} Received: length {length}")
            return True
        tf.debugging.assert_greater(length, 0, message=rule)
        return True if longest is None else id_ranges.at_most(longest, length, rule)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape, self.hidden_dim)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "hidden_dim": self.hidden_dim,
            "max_sequence_length": self.max_sequence_length,
            "embeddings_initializer": keras.initializers.serialize(self.embeddings_initializer),
            "scale": self.scale,
        }
