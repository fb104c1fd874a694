"""Position embeddings: axial, learned and sinusoidal. Each layer adds the embeddings of positions to its input."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from reformer_tf.layers import arguments, frozen_weights
from reformer_tf.layers.checked_inputs import VectorLayer
from reformer_tf.layers.fixed_arguments import FixedArguments
from reformer_tf.ops import id_ranges, shapes, sums
from reformer_tf.ops.execution import index_ranges, loops, row_chunks


class _PositionEmbedding(VectorLayer, FixedArguments):
    """Adds the embeddings of positions 0 to L - 1 to `[B, L, M]`, a few rows at a time.

    A subclass implements `look_up`.
    """

    fixed = frozenset({"axial_shape", "axial_dims", "max_sequence_length"})

    # The length of the longest sequence with positions, or None.
    max_length: int | None = None

    rank = 3

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        inputs = tf.convert_to_tensor(inputs)
        batch, length, _ = shapes.sizes(inputs)
        fits = self._fits(length)
        if shapes.known([length]) and loops.in_accelerator_program():
            # Without look-ups, so that the gradient needs no scatter.
            outputs = sums.bias_add(inputs, self.first(length, inputs.shape[-1]))
        else:
            outputs = self.add(inputs, tf.tile(index_ranges.below(length)[None], [batch, 1]))
        return outputs if fits is True else outputs + tf.cast(id_ranges.nan_unless(fits), outputs.dtype)

    def add(self, inputs: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
        """Adds the embeddings of positions, int32 `[B, L]`, that need not begin at 0, to `[B, L, M]`."""
        width = shapes.sizes(inputs)[2]

        def rows(x: tf.Tensor, positions: tf.Tensor, *tables: tf.Tensor) -> tf.Tensor:
            return x + tf.cast(self.look_up(positions, width, joined(tables)), x.dtype)

        # Not `trainable_variables`, whose sequence depends on which tables are frozen.
        variables = [*self._trainable_variables, *self._non_trainable_variables]
        tables, joined = frozen_weights.separated(variables, [frozen_weights.value(v) for v in variables])
        flat, budget = tf.reshape(inputs, [-1, width]), row_chunks.rows_in_budget(4 * width)
        flat_positions, spec = tf.reshape(positions, [-1]), tf.TensorSpec([None, width], inputs.dtype)
        return tf.reshape(row_chunks.map_rows(rows, [flat, flat_positions], tables, budget, spec), shapes.sizes(inputs))

    def first(self, length: int, width: int) -> tf.Tensor:
        """The embeddings `[L, M]` of the positions from 0 on, in at least float32."""
        return self.look_up(index_ranges.below(length), width, [])

    def look_up(self, positions: tf.Tensor, width: int, tables: Sequence[tf.Tensor]) -> tf.Tensor:
        """Returns the embeddings `[T, M]` of positions, int32 `[T]`, from the layer's weights, in at least float32."""
        raise NotImplementedError

    def _table(self, shape: tuple[int | None, ...], initializer: Any, name: str) -> Any:
        # Keras must not cast the table: the gradient of a look-up sums the tokens of a row in the table's dtype.
        return self.add_weight(shape, initializer, autocast=False, name=name)

    def _fits(self, length: shapes.Size) -> Any:
        """Whether there are positions for the length; see `id_ranges.at_most`."""
        if self.max_length is None:
            return True
        rule = f"inputs must be at most {self.max_length} positions long ({self.name})."
        return id_ranges.at_most(self.max_length, length, rule)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return tuple(input_shape)


@keras.saving.register_keras_serializable("reformer_tf")
class AxialPositionEmbedding(_PositionEmbedding):
    """Positions on a grid, each axis with a small table of its own: a million positions from some thousand vectors.

    Position p has the coordinates of p in row-major order, and its embedding is the concatenation of its coordinates'
    embeddings (paper, section 4, 'Experiments'; the released models use two axes). Any length up to the product of the
    axes works.

    Args:
        axial_shape: sizes of the axes; their product is the longest sequence.
        axial_dims: widths of the axes' embeddings; their sum is the width of the input.
        embeddings_initializer: of the tables.
        **kwargs: see `keras.layers.Layer`.

    Call arguments:
        inputs: `[B, L, M]`.

    Returns:
        `inputs` plus the embeddings of positions 0 to L - 1; NaN where XLA compiles for a longer input.

    Raises:
        ValueError: if the two lists do not fit each other or the input.

    Example:
        >>> AxialPositionEmbedding((32, 64), (8, 24))(np.zeros((1, 1000, 32))).shape
        TensorShape([1, 1000, 32])
    """

    def __init__(
        self,
        axial_shape: Sequence[int],
        axial_dims: Sequence[int],
        embeddings_initializer: Any = "random_normal",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        for name, value in (("axial_shape", axial_shape), ("axial_dims", axial_dims)):
            if not isinstance(value, list | tuple):
                raise ValueError(f"{name} must be a list of integers. Received: {name}={value!r}")
        self.axial_shape = tuple(arguments.positive_integer("axial_shape", n) for n in axial_shape)
        self.axial_dims = tuple(arguments.positive_integer("axial_dims", n) for n in axial_dims)
        if not self.axial_shape or len(self.axial_shape) != len(self.axial_dims):
            raise ValueError(
                "axial_shape and axial_dims must name the same axes, at least one."
                f" Received: axial_shape={axial_shape}, axial_dims={axial_dims}"
            )
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)
        self.max_length = math.prod(self.axial_shape)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        if input_shape[-1] != sum(self.axial_dims):
            raise ValueError(
                "axial_dims must sum to the width of the inputs."
                f" Received: axial_dims={self.axial_dims}, input_shape={input_shape}"
            )
        # A tuple, because TensorFlow's checkpoints leave out variables and layers in lists.
        self.tables = tuple(
            self._table((size, width), arguments.fresh(self.embeddings_initializer), f"axis_{axis}")
            for axis, (size, width) in enumerate(zip(self.axial_shape, self.axial_dims, strict=True))
        )

    def look_up(self, positions: tf.Tensor, width: int, tables: Sequence[tf.Tensor]) -> tf.Tensor:
        parts, stride = [], math.prod(self.axial_shape)
        for table, size in zip(tables, self.axial_shape, strict=True):
            stride //= size
            parts.append(sums.look_up(table, positions // stride % size))
        return tf.concat(parts, axis=-1)

    def first(self, length: int, width: int) -> tf.Tensor:
        rest = math.prod(self.axial_shape[1:])
        grid = [shapes.ceil_div(length, rest), *self.axial_shape[1:]]  # As many rows as the length reaches.
        parts = []
        for axis, table in enumerate(self.tables):
            table = shapes.cut(sums.wide(frozen_weights.value(table)), 0, grid[axis])
            along = [size if i == axis else 1 for i, size in enumerate(grid)]
            parts.append(tf.broadcast_to(tf.reshape(table, [*along, -1]), [*grid, table.shape[-1]]))
        return shapes.cut(tf.reshape(tf.concat(parts, axis=-1), [-1, width]), 0, length)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "axial_shape": list(self.axial_shape),
            "axial_dims": list(self.axial_dims),
            "embeddings_initializer": keras.initializers.serialize(self.embeddings_initializer),
        }


@keras.saving.register_keras_serializable("reformer_tf")
class LearnedPositionEmbedding(_PositionEmbedding):
    """One learned vector for each position.

    Args:
        max_sequence_length: the number of positions.
        embeddings_initializer: of the table.
        **kwargs: see `keras.layers.Layer`.

    Call arguments:
        inputs: `[B, L, M]`.

    Returns:
        `inputs` plus the embeddings of positions 0 to L - 1; NaN where XLA compiles for a longer input.

    Raises:
        ValueError: if `max_sequence_length` is not positive or the input is longer.

    Example:
        >>> LearnedPositionEmbedding(1024)(np.zeros((1, 1000, 32))).shape
        TensorShape([1, 1000, 32])
    """

    def __init__(self, max_sequence_length: int, embeddings_initializer: Any = "random_normal", **kwargs: Any):
        super().__init__(**kwargs)
        self.max_sequence_length = arguments.positive_integer("max_sequence_length", max_sequence_length)
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)
        self.max_length = self.max_sequence_length

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.table = self._table((self.max_sequence_length, input_shape[-1]), self.embeddings_initializer, "table")

    def look_up(self, positions: tf.Tensor, width: int, tables: Sequence[tf.Tensor]) -> tf.Tensor:
        return sums.look_up(tables[0], positions)

    def first(self, length: int, width: int) -> tf.Tensor:
        return shapes.cut(sums.wide(frozen_weights.value(self.table)), 0, length)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "max_sequence_length": self.max_sequence_length,
            "embeddings_initializer": keras.initializers.serialize(self.embeddings_initializer),
        }


@keras.saving.register_keras_serializable("reformer_tf")
class SinusoidalPositionEmbedding(_PositionEmbedding):
    """Sines and cosines of geometrically spaced wavelengths (Vaswani et al., 2017, section 3.5); no weights.

    The first half of the channels are sines, the second half cosines.

    Args:
        scale: factor of the embeddings.
        max_wavelength: the longest wavelength, in positions, divided by 2 pi.
        **kwargs: see `keras.layers.Layer`.

    Call arguments:
        inputs: `[B, L, M]` with M even.

    Returns:
        `inputs` plus the embeddings of positions 0 to L - 1.

    Raises:
        ValueError: if M is odd.

    Example:
        >>> SinusoidalPositionEmbedding()(np.zeros((1, 1000, 32))).shape
        TensorShape([1, 1000, 32])
    """

    any_width = True

    def __init__(self, scale: float = 1.0, max_wavelength: float = 10_000.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.scale = arguments.number("scale", scale)
        self.max_wavelength = arguments.positive_number("max_wavelength", max_wavelength)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        if input_shape[-1] is None or input_shape[-1] % 2:
            raise ValueError(f"The width of the inputs must be even. Received: input_shape={input_shape}")

    def look_up(self, positions: tf.Tensor, width: int, tables: Sequence[tf.Tensor]) -> tf.Tensor:
        half = width // 2
        frequencies = tf.exp(tf.range(half, dtype=tf.float32) * (-math.log(self.max_wavelength) / max(half - 1, 1)))
        # Angles in float32: bfloat16 cannot count beyond 256.
        angles = tf.cast(positions, tf.float32)[:, None] * frequencies
        return self.scale * tf.concat([tf.sin(angles), tf.cos(angles)], axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": self.scale, "max_wavelength": self.max_wavelength}
