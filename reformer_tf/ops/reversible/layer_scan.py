"""Layer scans: loops over equal blocks, in which each step has its own weights, constants and buckets."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from reformer_tf.ops import replay, shapes
from reformer_tf.ops.execution import barriers, budgets, loops
from reformer_tf.ops.execution.loops import OneElementArray
from reformer_tf.ops.execution.sequence_slices import SequenceSlices, SliceArray
from reformer_tf.ops.reversible.branch import BranchInputs, Run, Streams


class ScanSteps:
    """The steps of a loop; a single step runs without a loop, and its arrays are `OneElementArray`.

    Args:
        count: the number of steps.
    """

    def __init__(self, count: int):
        self.count = count
        self.is_single = count == 1

    def array(self, values: Sequence[tf.Tensor]) -> SliceArray:
        """Makes an array of one tensor for each step, of the same dtype and rank. They are not copied."""
        if self.is_single:
            return OneElementArray(values[0])
        shape = values[0].shape
        for value in values[1:]:
            shape = shape.most_specific_compatible_shape(value.shape)
        result = tf.TensorArray(values[0].dtype, size=self.count, element_shape=shape, clear_after_read=False)
        for step, value in enumerate(values):
            result = result.write(step, value)
        return result

    def empty(self, dtype: tf.DType, shape: Sequence[int | None], after: tf.Tensor) -> SliceArray:
        """Makes an array for one tensor of each step; `after` as in `loops.array`."""
        return loops.array(dtype, self.count, shape, after)

    def values(self, array: SliceArray) -> list[tf.Tensor]:
        """The tensors of all steps."""
        return [array.read(step) for step in range(self.count)]

    def forward(self, body: Callable[[Any, list], list], state: Sequence[Any]) -> list:
        """Runs `state = body(step, state)` for each step."""
        return loops.count_up(self.count, body, state)

    def backward(self, body: Callable[[Any, list], list], state: Sequence[Any]) -> list:
        """Runs `state = body(step, state)` for each step, the last one first."""
        return self.forward(lambda step, state: body(self.count - 1 - step, state), state)


class LayerScan:
    """A loop over blocks of equal branches.

    Args:
        run: the branches of each step.
        weights: values of the weights of each branch, step after step.
        seed: int32 seed of the call, or None.
        slices: how the streams are sliced.
    """

    def __init__(
        self, run: Run, weights: Sequence[Sequence[tf.Tensor]], seed: tf.Tensor | None, slices: SequenceSlices
    ):
        self.branches = run[0]
        self.seed, self.slices = seed, slices
        self.steps = ScanSteps(len(run))
        self.hashing = [branch.hashes(slices) for branch in self.branches]
        period = len(self.branches)
        constants = [branch.constants for branch in itertools.chain(*run)]
        self.weights, self.constants = (
            [self._by_step(values[index::period]) for index in range(period)] for values in (weights, constants)
        )

    @classmethod
    def from_runs(
        cls, runs: Sequence[Run], weights: Sequence[tf.Tensor], seed: tf.Tensor | None, slices: SequenceSlices
    ) -> list["LayerScan"]:
        """Makes the layer scans of all runs.

        Args:
            runs: the branches of each scan.
            weights: values of the weights of all branches, in the order of the branches.
            seed: int32 seed of the call, or None.
            slices: how the streams are sliced.
        """
        remaining = iter(weights)
        own = [[[next(remaining) for _ in branch.weights] for branch in itertools.chain(*run)] for run in runs]
        return [cls(run, values, seed, slices) for run, values in zip(runs, own, strict=True)]

    def _by_step(self, values: Sequence[Sequence[tf.Tensor]]) -> list[SliceArray]:
        return [self.steps.array(same) for same in zip(*values, strict=True)]

    def _branch_inputs(self, index: int, step: tf.Tensor, seed: tf.Tensor | None) -> BranchInputs:
        weights, constants = ([x.read(step) for x in arrays[index]] for arrays in (self.weights, self.constants))
        return BranchInputs(weights, constants, seed)

    def forward(self, streams: Sequence[SliceArray]) -> tuple[list[SliceArray], list[list[SliceArray]]]:
        """Adds all branches to the streams.

        Returns:
            The new streams, and for each branch its saved buckets as arrays by step.
        """
        known = self._replayed()

        def body(step: tf.Tensor, state: list) -> list:
            streams, saved = (list(x) for x in state)
            for index, branch in enumerate(self.branches):
                target = index % 2
                replayed = known[index]
                buckets = None if replayed is None else replayed.read(step)
                if self.steps.is_single and self.hashing[index]:
                    buckets = replay.take()
                streams[target], found = branch.forward(
                    self.slices,
                    Streams(streams[1 - target], streams[target]),
                    self._branch_inputs(index, step, self.seed),
                    buckets,
                )
                streams[target] = self._computed_once(streams[target])
                if self.steps.is_single:
                    saved[index] = [OneElementArray(x) for x in found]
                    if self.hashing[index]:
                        replay.record(found[0])
                else:
                    saved[index] = [array.write(step, x) for array, x in zip(saved[index], found, strict=True)]
            return [streams, saved]

        after = streams[0].read(0)
        buffers = [
            [self.steps.empty(tf.int32, branch.buckets_shape(self.slices), after)] if hashes else []
            for branch, hashes in zip(self.branches, self.hashing, strict=True)
        ]
        after_all, saved = self.steps.forward(body, [list(streams), buffers])
        if not self.steps.is_single:
            for step in range(self.steps.count):
                for array in itertools.chain(*saved):
                    replay.record(array.read(step))
        return after_all, saved

    def _after(self, stream: SliceArray, computed: Sequence[tf.Tensor]) -> SliceArray:
        """The same stream, which a compiled program knows only when some weights' gradients are computed.

        XLA ignores control dependencies. A TPU's compiler postponed what reads a stream but is not needed soon, as the
        gradient of a scale, for all layers, and kept a stream alive for each.
        """
        if not (computed and self.steps.is_single and isinstance(stream, OneElementArray)):
            return stream
        # Without the barrier it may compute the first number of each gradient alone.
        return OneElementArray(barriers.after(stream.element, *barriers.behind(*computed)))

    def _computed_once(self, stream: SliceArray) -> SliceArray:
        """The same stream or gradient, which a TPU's program writes down once.

        Its compiler fuses an addition into all that reads the sum: it kept a stream in several forms, or an older one
        and all updates since.
        """
        single = self.steps.is_single and isinstance(stream, OneElementArray)
        if not single or budgets.device_kind() != "TPU":
            return stream
        return OneElementArray(*barriers.behind(stream.element))

    def _with_casts_of_their_own(self, branch_inputs: BranchInputs, upstream: tf.Tensor) -> BranchInputs:
        """The same inputs, whose weights a TPU's program casts to half precision again in the backward pass.

        Its compiler casts weights before it multiplies by them, and would keep those of all layers from the forward
        pass on. A GPU's casts them as it reads them.
        """
        if not self.steps.is_single or budgets.device_kind() != "TPU":
            return branch_inputs
        return branch_inputs._replace(weights=[barriers.after(w, upstream) for w in branch_inputs.weights])

    def _replayed(self) -> list[SliceArray | None]:
        """For each branch, the replayed buckets by step, or None. A single step takes them when the branch runs."""
        if self.steps.is_single:
            return [None for _ in self.branches]
        taken = [[replay.take() if hashes else None for hashes in self.hashing] for _ in range(self.steps.count)]
        return [None if same[0] is None else self.steps.array(same) for same in zip(*taken, strict=True)]

    def backward(
        self,
        streams: Sequence[SliceArray],
        gradients: Sequence[SliceArray],
        saved: Sequence[Sequence[SliceArray]],
        finished: Sequence[tf.Tensor],
    ) -> tuple[list[SliceArray], list[SliceArray], list[list[tf.Tensor]]]:
        """Subtracts all branches from the streams, and computes their gradients.

        Args:
            streams: after the branches.
            gradients: of these streams.
            saved: the buckets that `forward` returned.
            finished: tensors that must be computed before.

        Returns:
            The streams and their gradients before the branches, and the gradients of each branch's weights.
        """

        def body(step: tf.Tensor, state: list) -> list:
            streams, gradients, totals = (list(x) for x in state)
            done: list[tf.Tensor] = []
            for index in reversed(range(len(self.branches))):
                target, source = index % 2, 1 - index % 2
                # Rebuilding needs no incoming gradient, so a graph's executor could do it early for all layers, or
                # postpone the weights' gradients, and keep all tensors alive. The dependencies let a branch start only
                # when the one after it is done. The identities prevent that the rebuilding is merged with the forward
                # pass.
                with tf.control_dependencies([*(self.slices.handle(gradient) for gradient in gradients), *done]):
                    inputs = self._computed_once(self._after(streams[source].identity(), done or finished))
                    upstream = self._computed_once(gradients[target].identity())
                    seed = None if self.seed is None else tf.identity(self.seed)
                    # XLA ignores these dependencies: it would compute tensors that depend only on buckets once, and
                    # keep them from the forward pass on. It cannot do so if they depend on the gradient.
                    number = shapes.first(upstream.read(0))
                    buckets = [x.read(step) for x in saved[index]]
                    buckets = [b + tf.cast(number > number.dtype.max, b.dtype) for b in buckets]
                streams[source] = inputs
                streams[target], gradients[source], done = self.branches[index].backward(
                    self.slices,
                    Streams(inputs, streams[target]),
                    Streams(gradients[source], upstream),
                    self._with_casts_of_their_own(self._branch_inputs(index, step, seed), upstream.read(0)),
                    buckets,
                )
                gradients[target] = upstream
                totals[index] = [total.write(step, x) for total, x in zip(totals[index], done, strict=True)]
            return [streams, gradients, totals]

        # Starts only when `finished` is computed: otherwise the tensors of both would be alive together.
        with tf.control_dependencies(finished):
            upstream = [gradient.identity() for gradient in gradients]
        after = upstream[0].read(0)
        buffers = [[self.steps.empty(w.dtype, w.shape, after) for w in branch.weights] for branch in self.branches]
        before, d_streams, totals = self.steps.backward(body, [list(streams), upstream, buffers])
        d_weights = [[x.read(step) for x in arrays] for step in range(self.steps.count) for arrays in totals]
        return before, d_streams, d_weights
