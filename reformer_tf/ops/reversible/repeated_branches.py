"""A run of equal branches at work: a loop in which each turn has its own weights, constants and buckets."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from reformer_tf.ops import replay
from reformer_tf.ops.execution import loops
from reformer_tf.ops.execution.sequence_slices import Cutting, Pieces, Single
from reformer_tf.ops.reversible.branch import Given, Run, Streams


class Turns:
    """A loop of some turns; a single turn is done without a loop, and then arrays are `Single`.

    Args:
        count: the number of turns.
    """

    def __init__(self, count: int):
        self.count = count
        self.single = count == 1

    def array(self, values: Sequence[tf.Tensor]) -> Pieces:
        """A tensor for each turn, of the same dtype and rank. They are not copied."""
        if self.single:
            return Single(values[0])
        shape = values[0].shape
        for value in values[1:]:
            shape = shape.most_specific_compatible_shape(value.shape)
        result = tf.TensorArray(values[0].dtype, size=self.count, element_shape=shape, clear_after_read=False)
        for turn, value in enumerate(values):
            result = result.write(turn, value)
        return result

    def empty(self, dtype: tf.DType, shape: Sequence[int | None], after: tf.Tensor) -> Pieces:
        """Room for a tensor of each turn; `after` as in `loops.array`."""
        return Single() if self.single else loops.array(dtype, self.count, shape, after)

    def values(self, array: Pieces) -> list[tf.Tensor]:
        """The tensor of each turn."""
        return [array.read(turn) for turn in range(self.count)]

    def forward(self, body: Callable[[Any, list], list], state: Sequence[Any]) -> list:
        """Runs `state = body(turn, state)` for each turn."""
        return body(0, list(state)) if self.single else loops.count_up(self.count, body, state)

    def backward(self, body: Callable[[Any, list], list], state: Sequence[Any]) -> list:
        """Runs `state = body(turn, state)` for each turn, the last one first."""
        return self.forward(lambda turn, state: body(self.count - 1 - turn, state), state)


class BranchTurns:
    """A run with the values of its weights.

    Args:
        run: its branches.
        weights: values of the weights of each branch, turn after turn.
        seed: int32 seed of the call, or None.
        cutting: how the streams are cut.
    """

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

    @classmethod
    def of(
        cls, runs: Sequence[Run], weights: Sequence[tf.Tensor], seed: tf.Tensor | None, cutting: Cutting
    ) -> list["BranchTurns"]:
        """All runs, with the values of all weights in turn."""
        remaining = iter(weights)
        own = [[[next(remaining) for _ in branch.weights] for branch in itertools.chain(*run)] for run in runs]
        return [cls(run, values, seed, cutting) for run, values in zip(runs, own, strict=True)]

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
