"""Applies a row-wise function to a few rows at a time, forward and backward, so that its inner tensors stay small.

Chunking in the forward pass saves little, because automatic differentiation saves the inner tensors of every chunk.
Here the backward pass recomputes one chunk at a time and frees it again (paper, section 3, 'Chunking').
"""

import contextlib
from collections.abc import Callable, Sequence

import tensorflow as tf

from reformer_tf.ops import shapes
from reformer_tf.ops.execution import budgets, compiled_functions, scopes
from reformer_tf.ops.execution.sequence_slices import SequenceSlices


def at_most(rows: int | None) -> contextlib.AbstractContextManager[None]:
    """Declares the most rows that inputs of `map_rows` inside have, for graphs of unknown shape; None declares none."""
    return scopes.holding(scopes.most_rows, rows)


def rows_in_budget(width: int) -> int:
    """The number of rows of `width` float32 numbers that fit the budget of a chunk."""
    return max(budgets.current().chunk_bytes // (4 * width), 1)


def map_rows(
    fn: Callable[..., tf.Tensor],
    inputs: Sequence[tf.Tensor],
    weights: Sequence[tf.Tensor],
    rows: int,
    output: tf.TensorSpec,
) -> tf.Tensor:
    """Computes `fn(*inputs, *weights)` over chunks of rows.

    Args:
        fn: a pure function that treats each row independently: maps `[n, ...]` of each input and all weights to
            `[n, ...]`.
        inputs: tensors `[T, ...]`. Integer inputs get no gradient.
        weights: tensors that every row uses; their gradients are summed over chunks.
        rows: rows of a chunk.
        output: shape `[None, ...]` and dtype of the results of `fn`.

    Returns:
        `[T, ...]`, the results of `fn` for all rows.
    """
    count = shapes.sizes(inputs[0])[0]
    most = count if shapes.known([count]) else scopes.most_rows.get()
    if most is not None and most <= rows:
        return fn(*inputs, *weights)
    chunks = _Chunks(fn, count, rows, len(inputs), output)

    # TensorFlow calls the gradient after scopes have exited, so their values are saved here.
    compiles, saved_budgets = compiled_functions.allowed(), budgets.saved()

    @tf.custom_gradient
    def apply(*args: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        fixed = [tf.stop_gradient(x) for x in args]

        def gradient(upstream: tf.Tensor) -> list[tf.Tensor | None]:
            with compiled_functions.compiling_functions(compiles), saved_budgets():
                return chunks.backward(fixed, upstream)

        return chunks.forward(fixed), gradient

    return tf.ensure_shape(apply(*inputs, *weights), [inputs[0].shape[0], *output.shape[1:]])


class _Chunks:
    """Loops over chunks of rows. Arguments as `map_rows` has them; `number` counts the row-wise inputs."""

    def __init__(self, fn: Callable[..., tf.Tensor], count: shapes.Size, rows: int, number: int, output: tf.TensorSpec):
        self.slices = SequenceSlices(1, count, rows)  # of a single sequence
        self.fn, self.number, self.output = fn, number, output

    def forward(self, args: Sequence[tf.Tensor]) -> tf.Tensor:
        """The result for all rows."""
        sources, weights = self._split(args)

        def body(index: shapes.Size, state: list) -> list:
            return [state[0].write(index, self.fn(*self._chunks(sources, index), *weights)[None])]

        array = self.slices.empty(self.output.dtype, self.output.shape[1:], sources[0])
        return self.slices.join(self.slices.sweep(body, [array])[0])[0]

    def backward(self, args: Sequence[tf.Tensor], upstream: tf.Tensor) -> list[tf.Tensor | None]:
        """The gradients of all arguments."""
        sources, weights = self._split(args)
        upstream = self.slices.prepared(upstream[None])
        moving = [i for i, x in enumerate(sources) if x.dtype.is_floating]
        arrays = [self.slices.empty(sources[i].dtype, sources[i].shape[2:], upstream) for i in moving]
        sums = [tf.zeros_like(w, shapes.statistics_dtype(w.dtype)) for w in weights]

        def body(index: shapes.Size, state: list) -> list:
            parts = self._chunks(sources, index)
            watched = [*(parts[i] for i in moving), *weights]
            with tf.GradientTape() as tape:
                tape.watch(watched)
                result = self.fn(*parts, *weights)
            later = self.slices.take(upstream, index)[0]
            gradients = tape.gradient(result, watched, output_gradients=later, unconnected_gradients="zero")
            written = [a.write(index, x[None]) for a, x in zip(state, gradients[: len(moving)], strict=False)]
            totals = zip(state[len(arrays) :], gradients[len(moving) :], strict=True)
            # A look-up's gradient is sparse.
            return written + [
                total + tf.cast(tf.convert_to_tensor(gradient), total.dtype) for total, gradient in totals
            ]

        state = self.slices.sweep(body, [*arrays, *sums])
        gradients: list[tf.Tensor | None] = [None] * self.number
        for i, array in zip(moving, state, strict=False):
            gradients[i] = tf.ensure_shape(self.slices.join(array)[0], args[i].shape)
        totals = zip(state[len(arrays) :], weights, strict=True)
        return gradients + [tf.cast(total, w.dtype) for total, w in totals]

    def _split(self, args: Sequence[tf.Tensor]) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """Rows as a batch of one sequence, and weights."""
        return [self.slices.prepared(x[None]) for x in args[: self.number]], list(args[self.number :])

    def _chunks(self, sources: Sequence[tf.Tensor], index: shapes.Size) -> list[tf.Tensor]:
        return [self.slices.take(x, index)[0] for x in sources]
