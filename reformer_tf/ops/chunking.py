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
    # As many chunks as needed, of equal length, so that little is computed on padding.
    steps = tf.maximum(shapes.ceil_div(count, rows), 1)
    if isinstance(count, int):
        steps = shapes.ceil_div(count, rows)
    rows = shapes.ceil_div(count, steps)
    missing = steps * rows - count
    static_rows = rows if isinstance(rows, int) else None
    number = len(inputs)

    def padded(x: tf.Tensor) -> tf.Tensor:
        return tf.pad(x, [[0, missing], *([[0, 0]] * (x.shape.rank - 1))])

    def chunk(x: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
        zeros = [0] * (x.shape.rank - 1)
        part = tf.slice(x, tf.stack([index * rows, *zeros]), tf.stack([rows, *(-1 for _ in zeros)]))
        return tf.ensure_shape(part, [static_rows, *x.shape[1:]])

    def joined(array: tf.TensorArray) -> tf.Tensor:
        stacked = array.stack()
        return tf.reshape(stacked, tf.concat([[-1], tf.shape(stacked)[2:]], axis=0))[:count]

    @tf.custom_gradient
    def apply(*args: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        fixed = [tf.stop_gradient(x) for x in args]
        sources, values = [padded(x) for x in fixed[:number]], fixed[number:]
        outputs = tf.TensorArray(output.dtype, size=steps, element_shape=[static_rows, *output.shape[1:]])

        def forward(index: tf.Tensor, state: list) -> list:
            return [state[0].write(index, fn(*(chunk(x, index) for x in sources), *values))]

        result = joined(loops.count_up(steps, forward, [outputs])[0])

        def gradient(upstream: tf.Tensor) -> list[tf.Tensor | None]:
            upstream = padded(upstream)
            moving = [i for i, x in enumerate(sources) if x.dtype.is_floating]
            arrays = [
                tf.TensorArray(sources[i].dtype, size=steps, element_shape=[static_rows, *sources[i].shape[1:]])
                for i in moving
            ]
            sums = [tf.zeros_like(v, shapes.statistics_dtype(v.dtype)) for v in values]

            def backward(index: tf.Tensor, state: list) -> list:
                parts = [chunk(x, index) for x in sources]
                watched = [parts[i] for i in moving] + list(values)
                with tf.GradientTape() as tape:
                    tape.watch(watched)
                    result = fn(*parts, *values)
                slopes = tape.gradient(
                    result, watched, output_gradients=chunk(upstream, index), unconnected_gradients="zero"
                )
                arrays = [a.write(index, s) for a, s in zip(state, slopes[: len(moving)], strict=False)]
                totals = zip(state[len(moving) :], slopes[len(moving) :], strict=True)
                return arrays + [total + tf.cast(s, total.dtype) for total, s in totals]

            state = loops.count_up(steps, backward, arrays + sums)
            slopes: list[tf.Tensor | None] = [None] * number
            for i, array in zip(moving, state, strict=False):
                slopes[i] = tf.ensure_shape(joined(array), args[i].shape)
            return slopes + [tf.cast(s, v.dtype) for s, v in zip(state[len(moving) :], values, strict=True)]

        return result, gradient

    return tf.ensure_shape(apply(*inputs, *weights), [inputs[0].shape[0], *output.shape[1:]])
