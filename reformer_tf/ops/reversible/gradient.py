"""The gradient of a reversible residual stack: one custom gradient over the whole of it.

A custom gradient for each block would keep every block's output alive; this one keeps the last pair of streams, and the
integer buckets of hashing layers. Going back it rebuilds one branch's input at a time. The streams are in pieces along
the length, which branches replace one by one, so that beside the streams and their gradients nothing of their size need
be alive.

Blocks that do the same with other weights are one loop: the program does not grow with depth, and neither XLA nor a
graph's executor can do the work of several layers at a time, which would keep all of it alive.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from reformer_tf.ops.execution.sequence_slices import Cutting, Pieces, packed, unpacked
from reformer_tf.ops.reversible.branch import Run
from reformer_tf.ops.reversible.repeated_branches import BranchTurns


def reversible_residual(
    inputs: Sequence[tf.Tensor],
    runs: Sequence[Run],
    seed: tf.Tensor | None,
    cutting: Cutting,
    dtype: tf.DType,
    combine: str,
    training: bool,
) -> list[tf.Tensor]:
    """Computes `y1 = x1 + F(x2)`, `y2 = x2 + G(y1)` block after block, keeping only the last pair for the gradient.

    Args:
        inputs: the two streams `[B, L, M]`, or one that is both.
        runs: all branches.
        seed: int32 seed handed to every branch, or None.
        cutting: how the streams are cut in pieces.
        dtype: of the streams.
        combine: `"mean"` or `"concatenate"`, which give one tensor, or `"pair"`.
        training: whether a gradient is to be expected. If not, one can be asked for as well, for a little more memory.

    Returns:
        The two streams after the last block, or what they are combined to.

    Raises:
        NotImplementedError: when a gradient of the gradient is asked for.
        ValueError: when a branch's output does not depend on one of its weights.
    """
    weights = [w for run in runs for branch in itertools.chain(*run) for w in branch.weights]
    number = len(inputs)

    @tf.custom_gradient
    def apply(*tensors: tf.Tensor) -> tuple:
        # In eager mode the outer tape would record, and keep, everything inside otherwise.
        tensors = tuple(tf.stop_gradient(x) for x in tensors)
        streams = _cut(cutting, tensors[:number], dtype)
        kept = []
        for turns in BranchTurns.of(runs, tensors[number:], seed, cutting):
            streams, buckets = turns.forward(streams)
            kept.append(buckets)
        outputs = _combined(cutting, streams, combine, dtype, inputs[0].shape[-1])
        # The mean is there in any case, and gives the second stream.
        held, means = (streams[:1], outputs) if combine == "mean" else (streams, [])

        # A SavedModel takes gradients with it, and cannot be written if they refer to arrays.
        plain_held = None if training else [packed(x) for x in held]
        plain_kept = None if training else [[[packed(x) for x in some] for some in of_run] for of_run in kept]

        def gradient(*slopes: tf.Tensor) -> tuple:
            input_types = [x.dtype for x in inputs]
            tensors_after = (*means, *slopes, *tensors[number:])
            arrays, buckets = held, kept
            if plain_held is not None:
                arrays, buckets = _unpacked([plain_held, plain_kept], [held, kept])
            return _backward(runs, buckets, arrays, seed, cutting, combine, input_types, *tensors_after)

        return tuple(outputs), gradient

    return list(apply(*inputs, *weights))


def _unpacked(tensors: Any, like: Any) -> Any:
    """Nested lists of what `unpacked` gives."""
    if isinstance(tensors, list):
        return [_unpacked(x, y) for x, y in zip(tensors, like, strict=True)]
    return unpacked(tensors, like)


def _combined(cutting: Cutting, streams: list[Pieces], combine: str, dtype: tf.DType, width: int) -> list[tf.Tensor]:
    if combine == "pair":
        return [cutting.join(stream) for stream in streams]
    beside = combine == "concatenate"

    def body(index: tf.Tensor, state: list) -> list:
        first, second = streams[0].read(index), (streams[1] if beside else state[0]).read(index)
        return [state[0].write(index, tf.concat([first, second], axis=-1) if beside else (first + second) / 2)]

    # The mean takes the place of the second stream, which it gives again.
    array = cutting.empty(dtype, [2 * width], streams[0].read(0)) if beside else streams[1]
    return [cutting.join(cutting.sweep(body, [array])[0])]


def _backward(
    runs: Sequence[Run],
    kept: Sequence[list[list[Pieces]]],
    held: Sequence[Pieces],
    seed: tf.Tensor | None,
    cutting: Cutting,
    combine: str,
    input_types: Sequence[tf.DType],
    *tensors: tf.Tensor,
) -> tuple[tf.Tensor, ...]:
    """Gradients of the inputs and all weights.

    Args:
        runs: all branches.
        kept: the buckets of each.
        held: y1, and y2 unless the mean is among the tensors.
        seed: as in the forward pass.
        cutting: how the streams are cut.
        combine: what the outputs are.
        input_types: dtypes of the inputs.
        *tensors: the mean if `combine` says so, gradients of the outputs, values of the weights.
    """

    @tf.custom_gradient
    def apply(*tensors: tf.Tensor) -> tuple:
        means, after = (tensors[:1], tensors[1:]) if combine == "mean" else ([], tensors)
        number = 2 if combine == "pair" else 1
        work = BranchTurns.of(runs, after[number:], seed, cutting)
        dtype = held[0].read(0).dtype
        slopes = _taken_apart(cutting, after[:number], combine, dtype)
        with tf.control_dependencies([cutting.handle(slope) for slope in slopes]):
            streams = [cutting.copied(pieces) for pieces in held]
        with tf.control_dependencies([cutting.handle(pieces) for pieces in [*slopes, *streams]]):
            streams += [_other(cutting, streams[0], tf.identity(mean)) for mean in means]
        of_weights: list[list[tf.Tensor]] = []
        finished: list[tf.Tensor] = []
        for turns, buckets in zip(reversed(work), reversed(kept), strict=True):
            streams, slopes, found = turns.backward(streams, slopes, buckets, finished)
            finished = found[0]
            of_weights = [*found, *of_weights]
        of_inputs = _input_slopes(cutting, slopes, input_types)
        return (*of_inputs, *(s for own in of_weights for s in own)), _second

    return apply(*tensors)


def _other(cutting: Cutting, stream: Pieces, mean: tf.Tensor) -> Pieces:
    """The stream that has a mean `[B, L, M]` with another."""
    prepared = cutting.prepared(mean)

    def body(index: tf.Tensor, state: list) -> list:
        return [state[0].write(index, 2 * cutting.piece(prepared, index) - stream.read(index))]

    return cutting.sweep(body, [cutting.empty(mean.dtype, mean.shape[2:], mean)])[0]


def _second(*_: tf.Tensor) -> tuple:
    raise NotImplementedError(
        "Second-order gradients through a reversible stack are not supported; set reversible=False."
    )


def _taken_apart(cutting: Cutting, slopes: Sequence[tf.Tensor], combine: str, dtype: tf.DType) -> list[Pieces]:
    """The gradients of the two streams from those of what they are combined to."""
    if combine == "concatenate":
        slopes = tf.split(slopes[0], 2, axis=-1)
    return _cut(cutting, slopes, dtype, 0.5 if combine == "mean" else 1.0)


def _cut(cutting: Cutting, tensors: Sequence[tf.Tensor], dtype: tf.DType, factor: float = 1.0) -> list[Pieces]:
    """The pieces of two tensors, or twice those of one."""
    return [part for x in tensors for part in cutting.cut(x, dtype, 2 // len(tensors), factor)]


def _input_slopes(cutting: Cutting, slopes: list[Pieces], input_types: Sequence[tf.DType]) -> list[tf.Tensor]:
    if len(input_types) == 2:
        return [tf.cast(cutting.join(slope), dtype) for slope, dtype in zip(slopes, input_types, strict=True)]

    # In place of the second one's, if the dtype is that of the streams.
    like = slopes[1].read(0)
    same = like.dtype == input_types[0]

    def body(index: tf.Tensor, state: list) -> list:
        total = slopes[0].read(index) + (state[0] if same else slopes[1]).read(index)
        return [state[0].write(index, tf.cast(total, input_types[0]))]

    array = slopes[1] if same else cutting.empty(input_types[0], like.shape[2:], like)
    return [cutting.join(cutting.sweep(body, [array])[0])]
