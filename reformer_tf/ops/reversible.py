"""The gradient of a reversible residual stack: one custom gradient over the whole of it.

A custom gradient for each block would keep every block's output alive; this one keeps the last pair of streams, and the
integer buckets of hashing layers. Going back it rebuilds one branch's input at a time. The streams are in pieces along
the length, which branches replace one by one, so that beside the streams and their gradients nothing of their size need
be alive.
"""

from collections.abc import Sequence
from typing import Protocol

import tensorflow as tf

from reformer_tf.ops.pieces import Cutting, Pieces


class Branch(Protocol):
    """A residual branch `target + F(source)` as a pure function of streams, weights and seed.

    Equal arguments, and equal kept buckets, must give equal results. Letters: B rows, l tokens of a piece, M width.
    """

    def forward(
        self, cutting: Cutting, source: Pieces, target: Pieces, weights: Sequence[tf.Tensor], seed: tf.Tensor | None
    ) -> tuple[Pieces, list[tf.Tensor]]:
        """Adds the branch.

        Args:
            cutting: how the streams are cut.
            source: pieces `[B, l, M]`.
            target: pieces `[B, l, M]`.
            weights: values of the trainable weights.
            seed: int32 seed, or None.

        Returns:
            The new target, and the buckets to keep.
        """

    def backward(
        self,
        cutting: Cutting,
        streams: tuple[Pieces, Pieces],
        slopes: tuple[Pieces, Pieces],
        weights: Sequence[tf.Tensor],
        seed: tf.Tensor | None,
        kept: list[tf.Tensor],
    ) -> tuple[Pieces, Pieces, list[tf.Tensor]]:
        """Takes the branch off again, and adds what it adds to the gradient.

        Args:
            cutting: how the streams are cut.
            streams: source and target after the branch.
            slopes: gradients of source and target after the branch.
            weights: as in `forward`.
            seed: as in `forward`.
            kept: what `forward` kept.

        Returns:
            The target before the branch, the gradient of the source before it, and those of the weights.
        """


def reversible_residual(
    inputs: Sequence[tf.Tensor],
    branches: Sequence[Branch],
    weights: Sequence[Sequence[tf.Tensor]],
    seed: tf.Tensor | None,
    cutting: Cutting,
    dtype: tf.DType,
    combine: str,
) -> list[tf.Tensor]:
    """Computes `y1 = x1 + F(x2)`, `y2 = x2 + G(y1)` block after block, keeping only the last pair for the gradient.

    Args:
        inputs: the two streams `[B, L, M]`, or one that is both.
        branches: F and G of each block in turn, an even number of pure functions.
        weights: the values of the trainable weights of each branch.
        seed: int32 seed handed to every branch, or None.
        cutting: how the streams are cut in pieces.
        dtype: of the streams.
        combine: `"mean"` or `"concatenate"`, which give one tensor, or `"pair"`.

    Returns:
        The two streams after the last block, or what they are combined to.

    Raises:
        NotImplementedError: when a gradient of the gradient is asked for.
        ValueError: when a branch's output does not depend on one of its weights.
    """
    counts = [len(w) for w in weights]
    number = len(inputs)
    input_types = [x.dtype for x in inputs]

    @tf.custom_gradient
    def run(*tensors: tf.Tensor) -> tuple:
        # In eager mode the outer tape would record, and keep, everything inside otherwise.
        tensors = tuple(tf.stop_gradient(x) for x in tensors)
        values = _split(tensors[number:], counts)
        streams = _cut(cutting, tensors[:number], dtype)
        kept: list[list[tf.Tensor]] = []
        for index, (branch, own) in enumerate(zip(branches, values, strict=True)):
            target = index % 2
            streams[target], buckets = branch.forward(cutting, streams[1 - target], streams[target], own, seed)
            kept.append(buckets)
        outputs = _combined(cutting, streams, combine, dtype, inputs[0].shape[-1])
        # One after another, so that little is alive twice. The mean is there already, and gives the second stream.
        last: list[tf.Tensor] = []
        for stream in streams[:1] if combine == "mean" else streams:
            with tf.control_dependencies([*outputs, *last]):
                last.append(cutting.pack(stream.identity()))
        if combine == "mean":
            last += outputs

        def gradient(*slopes: tf.Tensor) -> tuple:
            after = (*last, *slopes, *tensors[number:])
            return _backward(branches, counts, kept, seed, cutting, combine, input_types, *after)

        return tuple(outputs), gradient

    return list(run(*inputs, *(v for own in weights for v in own)))


def _combined(cutting: Cutting, streams: list[Pieces], combine: str, dtype: tf.DType, width: int) -> list[tf.Tensor]:
    if combine == "pair":
        return [cutting.join(stream) for stream in streams]
    beside = combine == "concatenate"

    def body(index: tf.Tensor, state: list) -> list:
        first, second = (stream.read(index) for stream in streams)
        return [state[0].write(index, tf.concat([first, second], axis=-1) if beside else (first + second) / 2)]

    array = cutting.empty(dtype, [2 * width if beside else width], streams[0].read(0))
    return [cutting.join(cutting.sweep(body, [array])[0])]


def _backward(
    branches: Sequence[Branch],
    counts: Sequence[int],
    kept: Sequence[Sequence[tf.Tensor]],
    seed: tf.Tensor | None,
    cutting: Cutting,
    combine: str,
    input_types: Sequence[tf.DType],
    *tensors: tf.Tensor,
) -> tuple[tf.Tensor, ...]:
    """Gradients of the inputs and all weights from (y1, y2, gradients of the outputs, *values)."""

    @tf.custom_gradient
    def run(first: tf.Tensor, second: tf.Tensor, *rest: tf.Tensor) -> tuple:
        number = 2 if combine == "pair" else 1
        values = _split(rest[number:], counts)
        slopes = _taken_apart(cutting, rest[:number], combine, first.dtype)
        with tf.control_dependencies([cutting.handle(slope) for slope in slopes]):
            streams = [cutting.unpack(tf.identity(first))]
        with tf.control_dependencies([cutting.handle(pieces) for pieces in [*slopes, *streams]]):
            second = tf.identity(second)
        streams.append(_other(cutting, streams[0], second) if combine == "mean" else cutting.unpack(second))
        weight_slopes: list[list[tf.Tensor]] = [[] for _ in branches]
        finished: list[tf.Tensor] = []
        for index in reversed(range(len(branches))):
            target, source = index % 2, 1 - index % 2
            # Rebuilding needs no incoming gradient, so a graph's executor might do it early for all layers, or put off
            # the weights' gradients, and keep everything alive: the dependencies let one branch start when the one
            # after it is done. The identities keep what is rebuilt from being merged with the forward pass.
            with tf.control_dependencies([*(cutting.handle(slope) for slope in slopes), *finished]):
                inputs = streams[source].identity()
                upstream = slopes[target].identity()
                replayed_seed = None if seed is None else tf.identity(seed)
                # XLA knows no such dependencies: what depends on buckets alone would be shared with the forward pass,
                # and kept. It cannot share what depends on the gradient.
                number = tf.reshape(upstream.read(0), [-1])[0]
                buckets = [b + tf.cast(number > number.dtype.max, b.dtype) for b in kept[index]]
            streams[source] = inputs
            streams[target], slopes[source], finished = branches[index].backward(
                cutting, (inputs, streams[target]), (slopes[source], upstream), values[index], replayed_seed, buckets
            )
            slopes[target] = upstream
            weight_slopes[index] = finished
        of_inputs = _input_slopes(cutting, slopes, input_types, first.shape[-1])
        return (*of_inputs, *(s for own in weight_slopes for s in own)), _second

    return run(*tensors)


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


def _input_slopes(
    cutting: Cutting, slopes: list[Pieces], input_types: Sequence[tf.DType], width: int
) -> list[tf.Tensor]:
    if len(input_types) == 2:
        return [tf.cast(cutting.join(slope), dtype) for slope, dtype in zip(slopes, input_types, strict=True)]

    def body(index: tf.Tensor, state: list) -> list:
        first, second = (slope.read(index) for slope in slopes)
        return [state[0].write(index, tf.cast(first + second, input_types[0]))]

    array = cutting.empty(input_types[0], [width], slopes[0].read(0))
    return [cutting.join(cutting.sweep(body, [array])[0])]


def _split(values: Sequence[tf.Tensor], counts: Sequence[int]) -> list[list[tf.Tensor]]:
    remaining = iter(values)
    return [[next(remaining) for _ in range(count)] for count in counts]
