"""Applies a row-wise function to a few rows at a time, forward and backward, so that its inner tensors stay small.

Chunking alone saves little, because a gradient keeps what every chunk made; here the backward pass recomputes a chunk,
uses it and lets it go (paper, section 3, 'Chunking').
"""

from collections.abc import Callable, Sequence

import tensorflow as tf

from reformer_tf.ops import loops, shapes

# Bytes that the widest inner tensor of one chunk may take when the caller names no chunk length.
CHUNK_BYTES = 32 * 2**20


def rows_in_budget(width: int) -> int:
    """How many rows of `width` fp32 numbers fit the budget of a chunk."""
    return max(CHUNK_BYTES // (4 * width), 1)


def map_rows(
    fn: Callable[..., tf.Tensor],
    inputs: Sequence[tf.Tensor],
    weights: Sequence[tf.Tensor],
    rows: int,
    output: tf.TensorSpec,
) -> tf.Tensor:
    """Computes `fn(*inputs, *weights)` over chunks of rows.

    Args:
        fn: a pure function that treats each row by itself: maps `[n, ...]` of each input and all weights to `[n, ...]`.
        inputs: tensors `[T, ...]`. Integer inputs get no gradient.
        weights: tensors that every row uses; their gradients are summed over chunks.
        rows: rows of a chunk.
        output: shape `[None, ...]` and dtype of what `fn` returns.

    Returns:
        `[T, ...]`, what `fn` returns for all rows.
    """
    count = shapes.sizes(inputs[0])[0]
    if isinstance(count, int) and count <= rows:
        return fn(*inputs, *weights)
    chunks = _Chunks(fn, count, rows, len(inputs), output)

    @tf.custom_gradient
    def apply(*args: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        fixed = [tf.stop_gradient(x) for x in args]
        return chunks.forward(fixed), lambda upstream: chunks.backward(fixed, upstream)

    return tf.ensure_shape(apply(*inputs, *weights), [inputs[0].shape[0], *output.shape[1:]])


class _Chunks:
    """Loops over chunks of rows. Arguments as `map_rows` has them; `number` is that of the row-wise inputs."""

    def __init__(self, fn: Callable[..., tf.Tensor], count: shapes.Size, rows: int, number: int, output: tf.TensorSpec):
        # As many chunks as needed, of equal length, so that little is computed on padding.
        self.steps = shapes.ceil_div(count, rows)
        if not isinstance(count, int):
            self.steps = tf.maximum(self.steps, 1)
        self.rows = shapes.ceil_div(count, self.steps)
        self.fn, self.count, self.number, self.output = fn, count, number, output

    def forward(self, args: Sequence[tf.Tensor]) -> tf.Tensor:
        """The result for all rows."""
        sources, weights = self._split(args)

        def body(index: tf.Tensor, state: list) -> list:
            return [state[0].write(index, self.fn(*(self._chunk(x, index) for x in sources), *weights))]

        return self._joined(loops.count_up(self.steps, body, [self._array(self.output)])[0])

    def backward(self, args: Sequence[tf.Tensor], upstream: tf.Tensor) -> list[tf.Tensor | None]:
        """The gradients of all arguments."""
        sources, weights = self._split(args)
        upstream = self._padded(upstream)
        moving = [i for i, x in enumerate(sources) if x.dtype.is_floating]
        arrays = [self._array(sources[i]) for i in moving]
        sums = [tf.zeros_like(w, shapes.statistics_dtype(w.dtype)) for w in weights]

        def body(index: tf.Tensor, state: list) -> list:
            parts = [self._chunk(x, index) for x in sources]
            watched = [*(parts[i] for i in moving), *weights]
            with tf.GradientTape() as tape:
                tape.watch(watched)
                result = self.fn(*parts, *weights)
            slopes = tape.gradient(
                result, watched, output_gradients=self._chunk(upstream, index), unconnected_gradients="zero"
            )
            written = [a.write(index, x) for a, x in zip(state, slopes[: len(moving)], strict=False)]
            totals = zip(state[len(arrays) :], slopes[len(moving) :], strict=True)
            return written + [total + tf.cast(slope, total.dtype) for total, slope in totals]

        state = loops.count_up(self.steps, body, [*arrays, *sums])
        slopes: list[tf.Tensor | None] = [None] * self.number
        for i, array in zip(moving, state, strict=False):
            slopes[i] = tf.ensure_shape(self._joined(array), args[i].shape)
        totals = zip(state[len(arrays) :], weights, strict=True)
        return slopes + [tf.cast(total, w.dtype) for total, w in totals]

    def _split(self, args: Sequence[tf.Tensor]) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """Padded rows, and weights."""
        return [self._padded(x) for x in args[: self.number]], list(args[self.number :])

    def _padded(self, x: tf.Tensor) -> tf.Tensor:
        return tf.pad(x, [[0, self.steps * self.rows - self.count], *([[0, 0]] * (x.shape.rank - 1))])

    def _chunk(self, x: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
        zeros = [0] * (x.shape.rank - 1)
        part = tf.slice(x, tf.stack([index * self.rows, *zeros]), tf.stack([self.rows, *(-1 for _ in zeros)]))
        return tf.ensure_shape(part, [self._static_rows, *x.shape[1:]])

    def _array(self, like: tf.Tensor | tf.TensorSpec) -> tf.TensorArray:
        return tf.TensorArray(like.dtype, size=self.steps, element_shape=[self._static_rows, *like.shape[1:]])

    @property
    def _static_rows(self) -> int | None:
        return self.rows if isinstance(self.rows, int) else None

    def _joined(self, array: tf.TensorArray) -> tf.Tensor:
        stacked = array.stack()
        return tf.reshape(stacked, tf.concat([[-1], tf.shape(stacked)[2:]], axis=0))[: self.count]
