"""The gradient of a reversible residual stack: one custom gradient over the whole of it.

A custom gradient for each block would keep every block's output alive; this one saves the last pair of streams and the
integer buckets of hashing layers. The backward pass rebuilds one branch's input at a time. The streams are in slices
along the length, which branches replace one by one, so that no other tensors of their size need to be alive beside the
streams and their gradients.

Blocks that differ only in their weights run in one loop (a layer scan): the program does not grow with depth, and
neither XLA nor a graph's executor can work on several layers at a time, which would keep the tensors of all of them
alive.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from reformer_tf.ops import shapes
from reformer_tf.ops.execution import budgets
from reformer_tf.ops.execution.sequence_slices import SequenceSlices, SliceArray, packed, unpacked
from reformer_tf.ops.reversible.branch import Context, Run
from reformer_tf.ops.reversible.layer_scan import LayerScan


def reversible_residual(
    inputs: Sequence[tf.Tensor],
    runs: Sequence[Run],
    seed: tf.Tensor | None,
    slices: SequenceSlices,
    dtype: tf.DType,
    combine: str,
    training: bool,
    context: Context | None = None,
) -> list[tf.Tensor]:
    """Computes `y1 = x1 + F(x2)`, `y2 = x2 + G(y1)` block after block, saving only the last pair for the gradient.

    The branches add to the two streams in turn, whichever block they are of.

    Args:
        inputs: the two streams `[B, L, M]`, or one tensor that both start from.
        runs: all branches.
        seed: int32 seed handed to every branch, or None.
        slices: how the streams are sliced.
        dtype: of the streams.
        combine: `"mean"` or `"concatenate"`, which give one tensor, or `"pair"`.
        training: whether a gradient is expected. Without it, a gradient still works and takes a little more memory.
        context: a sequence that branches attend to, or None. Its gradient is summed over the branches in at least
            float32, and not saved for each.

    Returns:
        The two streams after the last block, or their combination.

    Raises:
        NotImplementedError: when a gradient of the gradient is asked for.
        ValueError: when a branch's output does not depend on one of its weights.
    """
    weights = [w for run in runs for branch in itertools.chain(*run) for w in branch.weights]
    number = len(inputs)
    contexts = [] if context is None else [context.vectors]
    saved_budgets = budgets.saved()

    @tf.custom_gradient
    def apply(*tensors: tf.Tensor) -> tuple:
        # Without it, the outer tape of eager mode would record all operations inside and keep their tensors.
        tensors = tuple(tf.stop_gradient(x) for x in tensors)
        streams = _cut(slices, tensors[:number], dtype)
        after_streams = tensors[number:]
        saved = []
        for scan in _scans(runs, after_streams, seed, slices, context):
            streams, buckets = scan.forward(streams)
            saved.append(buckets)
        outputs = _combined(slices, streams, combine, dtype, inputs[0].shape[-1])
        # The mean is an output and stays alive; the second stream is computed from it and the first.
        last_streams, means = (streams[:1], outputs) if combine == "mean" else (streams, [])

        # A SavedModel contains gradient functions, and cannot be written if they refer to TensorArrays.
        packed_streams = None if training else [packed(x) for x in last_streams]
        packed_saved = (
            None if training else [[[packed(x) for x in some] for some in run_buckets] for run_buckets in saved]
        )

        def gradient(*upstream: tf.Tensor) -> tuple:
            input_types = [x.dtype for x in inputs]
            tensors_after = (*means, *upstream, *after_streams)
            arrays, buckets = last_streams, saved
            if packed_streams is not None:
                arrays, buckets = _unpacked([packed_streams, packed_saved], [last_streams, saved])
            with saved_budgets():
                return _backward(runs, buckets, arrays, seed, slices, context, combine, input_types, *tensors_after)

        return tuple(outputs), gradient

    return list(apply(*inputs, *contexts, *weights))


def _scans(
    runs: Sequence[Run],
    tensors: Sequence[tf.Tensor],
    seed: tf.Tensor | None,
    slices: SequenceSlices,
    context: Context | None,
) -> list[LayerScan]:
    """Makes the layer scans from the vectors of the context, if there is one, and the values of all weights."""
    if context is not None:
        context, tensors = context._replace(vectors=tensors[0]), tensors[1:]
    return LayerScan.from_runs(runs, tensors, seed, slices, context)


def _unpacked(tensors: Any, like: Any) -> Any:
    """Applies `unpacked` to nested lists."""
    if isinstance(tensors, list):
        return [_unpacked(x, y) for x, y in zip(tensors, like, strict=True)]
    return unpacked(tensors, like)


def _combined(
    slices: SequenceSlices, streams: list[SliceArray], combine: str, dtype: tf.DType, width: int
) -> list[tf.Tensor]:
    if combine == "pair":
        return [slices.join(stream) for stream in streams]
    beside = combine == "concatenate"

    def body(index: shapes.Size, state: list) -> list:
        first, second = streams[0].read(index), (streams[1] if beside else state[0]).read(index)
        return [state[0].write(index, tf.concat([first, second], axis=-1) if beside else (first + second) / 2)]

    # The mean is written over the second stream, which can be computed from it again.
    array = slices.empty(dtype, [2 * width], streams[0].read(0)) if beside else streams[1]
    return [slices.join(slices.sweep(body, [array])[0])]


def _backward(
    runs: Sequence[Run],
    saved: Sequence[list[list[SliceArray]]],
    last_streams: Sequence[SliceArray],
    seed: tf.Tensor | None,
    slices: SequenceSlices,
    context: Context | None,
    combine: str,
    input_types: Sequence[tf.DType],
    *tensors: tf.Tensor,
) -> tuple[tf.Tensor, ...]:
    """Computes the gradients of the inputs, the context and all weights.

    Args:
        runs: all branches.
        saved: the buckets of each layer scan.
        last_streams: y1, and y2 unless the mean is among the tensors.
        seed: as in the forward pass.
        slices: how the streams are sliced.
        context: as in the forward pass.
        combine: as in the forward pass.
        input_types: dtypes of the inputs.
        *tensors: the mean if `combine` is `"mean"`, gradients of the outputs, the vectors of the context if there is
            one, values of the weights.
    """

    @tf.custom_gradient
    def apply(*tensors: tf.Tensor) -> tuple:
        means, after = (tensors[:1], tensors[1:]) if combine == "mean" else ([], tensors)
        number = 2 if combine == "pair" else 1
        work = _scans(runs, after[number:], seed, slices, context)
        dtype = last_streams[0].read(0).dtype
        gradients = _taken_apart(slices, after[:number], combine, dtype)
        with tf.control_dependencies([slices.handle(gradient) for gradient in gradients]):
            streams = [slices.copied(array) for array in last_streams]
        with tf.control_dependencies([slices.handle(array) for array in [*gradients, *streams]]):
            streams += [_other(slices, streams[0], tf.identity(mean)) for mean in means]
        d_weights: list[list[tf.Tensor]] = []
        finished: list[tf.Tensor] = []
        inner_context = work[0].context
        d_context = [] if inner_context is None else [_zeros(inner_context, after[0])]
        for scan, buckets in zip(reversed(work), reversed(saved), strict=True):
            streams, gradients, found, d_context = scan.backward(streams, gradients, buckets, finished, d_context)
            finished = found[0]
            d_weights = [*found, *d_weights]
        d_inputs = _input_gradients(slices, gradients, input_types)
        d_contexts = [] if inner_context is None else [_context_gradient(inner_context, d_context[0])]
        return (*d_inputs, *d_contexts, *(s for own in d_weights for s in own)), _second

    return apply(*tensors)


def _zeros(context: Context, after: tf.Tensor) -> SliceArray:
    """Makes the sum of the context's gradient, in at least float32; `after` as in `loops.array`."""
    slices, vectors = context.slices, context.vectors
    dtype = shapes.statistics_dtype(vectors.dtype)

    def body(index: shapes.Size, state: list) -> list:
        return [state[0].write(index, tf.zeros_like(slices.take(vectors, index), dtype))]

    return slices.sweep(body, [slices.empty(dtype, vectors.shape[2:], after)])[0]


def _context_gradient(context: Context, total: SliceArray) -> tf.Tensor:
    """The gradient of the vectors of a context, which may be padded, from slices."""
    joined = tf.cast(context.slices.join(total), context.vectors.dtype)
    missing = shapes.sizes(context.vectors)[1] - context.slices.length
    return tf.ensure_shape(tf.pad(joined, [[0, 0], [0, missing], [0, 0]]), context.vectors.shape)


def _other(slices: SequenceSlices, stream: SliceArray, mean: tf.Tensor) -> SliceArray:
    """Computes the other stream from one stream and the mean `[B, L, M]` of both."""
    prepared = slices.prepared(mean)

    def body(index: shapes.Size, state: list) -> list:
        return [state[0].write(index, 2 * slices.take(prepared, index) - stream.read(index))]

    return slices.sweep(body, [slices.empty(mean.dtype, mean.shape[2:], mean)])[0]


def _second(*_: tf.Tensor) -> tuple:
    raise NotImplementedError(
        "Second-order gradients through a reversible stack are not supported; set reversible=False."
    )


def _taken_apart(
    slices: SequenceSlices, gradients: Sequence[tf.Tensor], combine: str, dtype: tf.DType
) -> list[SliceArray]:
    """Computes the gradients of the two streams from those of the outputs."""
    if combine == "concatenate":
        gradients = tf.split(gradients[0], 2, axis=-1)
    return _cut(slices, gradients, dtype, 0.5 if combine == "mean" else 1.0)


def _cut(
    slices: SequenceSlices, tensors: Sequence[tf.Tensor], dtype: tf.DType, factor: float = 1.0
) -> list[SliceArray]:
    """Cuts two tensors into slices, or one tensor into two copies of its slices."""
    return [part for x in tensors for part in slices.cut(x, dtype, 2 // len(tensors), factor)]


def _input_gradients(
    slices: SequenceSlices, gradients: list[SliceArray], input_types: Sequence[tf.DType]
) -> list[tf.Tensor]:
    if len(input_types) == 2:
        return [tf.cast(slices.join(gradient), dtype) for gradient, dtype in zip(gradients, input_types, strict=True)]

    # Written over the gradient of the second stream, if the dtype is the same.
    like = gradients[1].read(0)
    same = like.dtype == input_types[0]

    def body(index: shapes.Size, state: list) -> list:
        total = gradients[0].read(index) + (state[0] if same else gradients[1]).read(index)
        return [state[0].write(index, tf.cast(total, input_types[0]))]

    array = gradients[1] if same else slices.empty(input_types[0], like.shape[2:], like)
    return [slices.join(slices.sweep(body, [array])[0])]
