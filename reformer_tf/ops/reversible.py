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
from typing import NamedTuple, Protocol

import tensorflow as tf

from reformer_tf.ops import replay
from reformer_tf.ops.pieces import Cutting, Pieces, Single
from reformer_tf.ops.turns import Turns


class Given(NamedTuple):
    """What a branch is given besides the streams.

    Attributes:
        weights: values of the trainable weights.
        constants: values of what else differs between equal branches, as `Branch.constants` has them.
        seed: int32 seed of the call, or None.
    """

    weights: Sequence[tf.Tensor]
    constants: Sequence[tf.Tensor]
    seed: tf.Tensor | None


class Streams(NamedTuple):
    """What a branch reads and what it adds to, or their gradients: pieces `[B, l, M]`."""

    source: Pieces
    target: Pieces


class Branch(Protocol):
    """A residual branch `target + F(source)` as a pure function of streams, weights and seed.

    Equal arguments, and equal kept buckets, must give equal results. Letters: B rows, l tokens of a piece, M width.

    Attributes:
        weights: values of the trainable weights.
        constants: values, without a gradient, of what else differs from the branches that it takes turns with.
    """

    weights: Sequence[tf.Tensor]
    constants: Sequence[tf.Tensor]

    def hashes(self, cutting: Cutting) -> bool:
        """Whether `forward` takes buckets and keeps those it used, int32 `[B, H, R, L]`."""

    def kept_shape(self, cutting: Cutting) -> Sequence[int | None]:
        """Of the buckets, if it hashes."""

    def forward(
        self, cutting: Cutting, streams: Streams, given: Given, buckets: tf.Tensor | None
    ) -> tuple[Pieces, list[tf.Tensor]]:
        """Adds the branch.

        Args:
            cutting: how the streams are cut.
            streams: before the branch.
            given: weights and seed.
            buckets: if they are known; else None.

        Returns:
            The new target, and the buckets to keep.
        """

    def backward(
        self, cutting: Cutting, streams: Streams, slopes: Streams, given: Given, kept: Sequence[tf.Tensor]
    ) -> tuple[Pieces, Pieces, list[tf.Tensor]]:
        """Takes the branch off again, and adds what it adds to the gradient.

        Args:
            cutting: how the streams are cut.
            streams: after the branch.
            slopes: gradients of the streams after the branch.
            given: as in `forward`.
            kept: what `forward` kept.

        Returns:
            The target before the branch, the gradient of the source before it, and those of the weights.
        """


# Branches that take turns: for each turn, F and G of its blocks. Every turn is the same function as the first, of the
# streams, the weights and the constants.
Run = Sequence[Sequence[Branch]]


def reversible_residual(
    inputs: Sequence[tf.Tensor],
    runs: Sequence[Run],
    seed: tf.Tensor | None,
    cutting: Cutting,
    dtype: tf.DType,
    combine: str,
) -> list[tf.Tensor]:
    """Computes `y1 = x1 + F(x2)`, `y2 = x2 + G(y1)` block after block, keeping only the last pair for the gradient.

    Args:
        inputs: the two streams `[B, L, M]`, or one that is both.
        runs: all branches.
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
    weights = [w for run in runs for branch in itertools.chain(*run) for w in branch.weights]
    number = len(inputs)

    @tf.custom_gradient
    def apply(*tensors: tf.Tensor) -> tuple:
        # In eager mode the outer tape would record, and keep, everything inside otherwise.
        tensors = tuple(tf.stop_gradient(x) for x in tensors)
        streams = _cut(cutting, tensors[:number], dtype)
        kept = []
        for work in _works(runs, tensors[number:], seed, cutting):
            streams, buckets = work.forward(streams)
            kept.append(buckets)
        outputs = _combined(cutting, streams, combine, dtype, inputs[0].shape[-1])
        # The mean is there in any case, and gives the second stream.
        held, means = (streams[:1], outputs) if combine == "mean" else (streams, [])

        def gradient(*slopes: tf.Tensor) -> tuple:
            input_types = [x.dtype for x in inputs]
            tensors_after = (*means, *slopes, *tensors[number:])
            return _backward(runs, kept, held, seed, cutting, combine, input_types, *tensors_after)

        return tuple(outputs), gradient

    return list(apply(*inputs, *weights))


class _Work:
    """A run, with the values of its weights."""

    def __init__(self, run: Run, weights: Sequence[Sequence[tf.Tensor]], seed: tf.Tensor | None, cutting: Cutting):
        self.branches = run[0]
        self.seed, self.cutting = seed, cutting
        self.turns = Turns(len(run))
        self.hashing = [branch.hashes(cutting) for branch in self.branches]
        period = len(self.branches)
        constants = [branch.constants for branch in itertools.chain(*run)]
        self.weights, self.constants = (
            [self._by_turn(values[place::period]) for place in range(period)] for values in (weights, constants)
        )

    def _by_turn(self, values: Sequence[Sequence[tf.Tensor]]) -> list[Pieces]:
        return [self.turns.array(same) for same in zip(*values, strict=True)]

    def _given(self, place: int, turn: tf.Tensor, seed: tf.Tensor | None) -> Given:
        weights, constants = ([x.read(turn) for x in arrays[place]] for arrays in (self.weights, self.constants))
        return Given(weights, constants, seed)

    def forward(self, streams: Sequence[Pieces]) -> tuple[list[Pieces], list[list[Pieces]]]:
        """Adds all branches.

        Returns:
            The new streams, and by turn the buckets that each branch keeps.
        """
        known = self._replayed()

        def body(turn: tf.Tensor, state: list) -> list:
            streams, kept = (list(x) for x in state)
            for place, branch in enumerate(self.branches):
                target = place % 2
                by_turn = known[place]
                buckets = None if by_turn is None else by_turn.read(turn)
                if self.turns.single and self.hashing[place]:
                    buckets = replay.take()
                streams[target], found = branch.forward(
                    self.cutting,
                    Streams(streams[1 - target], streams[target]),
                    self._given(place, turn, self.seed),
                    buckets,
                )
                if self.turns.single:
                    kept[place] = [Single(x) for x in found]
                    if self.hashing[place]:
                        replay.record(found[0])
                else:
                    kept[place] = [array.write(turn, x) for array, x in zip(kept[place], found, strict=True)]
            return [streams, kept]

        after = streams[0].read(0)
        room = [
            [self.turns.empty(tf.int32, branch.kept_shape(self.cutting), after)] if hashes else []
            for branch, hashes in zip(self.branches, self.hashing, strict=True)
        ]
        after_all, kept = self.turns.forward(body, [list(streams), room])
        if not self.turns.single:
            for turn in range(self.turns.count):
                for array in itertools.chain(*kept):
                    replay.record(array.read(turn))
        return after_all, kept

    def _replayed(self) -> list[Pieces | None]:
        """By turn, the buckets that are replayed to each branch. A single turn takes them when it gets there."""
        if self.turns.single:
            return [None for _ in self.branches]
        taken = [[replay.take() if hashes else None for hashes in self.hashing] for _ in range(self.turns.count)]
        return [None if same[0] is None else self.turns.array(same) for same in zip(*taken, strict=True)]

    def backward(
        self,
        streams: Sequence[Pieces],
        slopes: Sequence[Pieces],
        kept: Sequence[Sequence[Pieces]],
        finished: Sequence[tf.Tensor],
    ) -> tuple[list[Pieces], list[Pieces], list[list[tf.Tensor]]]:
        """Takes all branches off.

        Args:
            streams: after them.
            slopes: their gradients.
            kept: what `forward` kept.
            finished: what must be done before.

        Returns:
            The streams and their gradients before the branches, and the gradients of each branch's weights.
        """

        def body(turn: tf.Tensor, state: list) -> list:
            streams, slopes, totals = (list(x) for x in state)
            done: list[tf.Tensor] = []
            for place in reversed(range(len(self.branches))):
                target, source = place % 2, 1 - place % 2
                # Rebuilding needs no incoming gradient, so a graph's executor might do it early for all layers, or put
                # off the weights' gradients, and keep everything alive: the dependencies let one branch start when the
                # one after it is done. The identities keep what is rebuilt from being merged with the forward pass.
                with tf.control_dependencies([*(self.cutting.handle(slope) for slope in slopes), *done]):
                    inputs = streams[source].identity()
                    upstream = slopes[target].identity()
                    seed = None if self.seed is None else tf.identity(self.seed)
                    # XLA knows no such dependencies: what depends on buckets alone would be shared with the forward
                    # pass, and kept. It cannot share what depends on the gradient.
                    number = tf.reshape(upstream.read(0), [-1])[0]
                    buckets = [x.read(turn) for x in kept[place]]
                    buckets = [b + tf.cast(number > number.dtype.max, b.dtype) for b in buckets]
                streams[source] = inputs
                streams[target], slopes[source], done = self.branches[place].backward(
                    self.cutting,
                    Streams(inputs, streams[target]),
                    Streams(slopes[source], upstream),
                    self._given(place, turn, seed),
                    buckets,
                )
                slopes[target] = upstream
                totals[place] = [total.write(turn, x) for total, x in zip(totals[place], done, strict=True)]
            return [streams, slopes, totals]

        # What comes before in time, or it would be alive beside this.
        with tf.control_dependencies(finished):
            upstream = [slope.identity() for slope in slopes]
        after = upstream[0].read(0)
        room = [[self.turns.empty(w.dtype, w.shape, after) for w in branch.weights] for branch in self.branches]
        before, of_streams, totals = self.turns.backward(body, [list(streams), upstream, room])
        of_weights = [[x.read(turn) for x in arrays] for turn in range(self.turns.count) for arrays in totals]
        return before, of_streams, of_weights


def _works(runs: Sequence[Run], weights: Sequence[tf.Tensor], seed: tf.Tensor | None, cutting: Cutting) -> list[_Work]:
    remaining = iter(weights)
    works = []
    for run in runs:
        own = [[next(remaining) for _ in branch.weights] for branch in itertools.chain(*run)]
        works.append(_Work(run, own, seed, cutting))
    return works


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
        works = _works(runs, after[number:], seed, cutting)
        dtype = held[0].read(0).dtype
        slopes = _taken_apart(cutting, after[:number], combine, dtype)
        with tf.control_dependencies([cutting.handle(slope) for slope in slopes]):
            streams = [cutting.copied(pieces) for pieces in held]
        with tf.control_dependencies([cutting.handle(pieces) for pieces in [*slopes, *streams]]):
            streams += [_other(cutting, streams[0], tf.identity(mean)) for mean in means]
        of_weights: list[list[tf.Tensor]] = []
        finished: list[tf.Tensor] = []
        for work, buckets in zip(reversed(works), reversed(kept), strict=True):
            streams, slopes, found = work.backward(streams, slopes, buckets, finished)
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
