"""Layer scans: loops over equal blocks, in which each step has its own weights, constants and buckets."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from reformer_tf.ops import replay, shapes
from reformer_tf.ops.execution import barriers, budgets, loops
from reformer_tf.ops.execution.loops import OneElementArray
from reformer_tf.ops.execution.sequence_slices import SequenceSlices, SliceArray
from reformer_tf.ops.reversible.branch import BranchInputs, Context, Gradients, Run, Streams


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
        context: the sequence that branches may attend to, or None.
        first_target: which of the two streams the first branch adds to, 0 or 1; the others add to the two in turn.
    """

    def __init__(
        self,
        run: Run,
        weights: Sequence[Sequence[tf.Tensor]],
        seed: tf.Tensor | None,
        slices: SequenceSlices,
        context: Context | None,
        first_target: int,
    ):
        self.branches = run[0]
        self.targets = [(first_target + index) % 2 for index in range(len(self.branches))]
        self.seed, self.slices, self.context = seed, slices, context
        self.steps = ScanSteps(len(run))
        self.hashing = [branch.hashes(slices) for branch in self.branches]
        period = len(self.branches)
        constants = [branch.constants for branch in itertools.chain(*run)]
        self.weights, self.constants = (
            [self._by_step(values[index::period]) for index in range(period)] for values in (weights, constants)
        )

    @classmethod
    def from_runs(
        cls,
        runs: Sequence[Run],
        weights: Sequence[tf.Tensor],
        seed: tf.Tensor | None,
        slices: SequenceSlices,
        context: Context | None,
    ) -> list["LayerScan"]:
        """Makes the layer scans of all runs.

        Args:
            runs: the branches of each scan.
            weights: values of the weights of all branches, in the order of the branches.
            seed: int32 seed of the call, or None.
            slices: how the streams are sliced.
            context: the sequence that branches may attend to, or None.
        """
        remaining, scans, target = iter(weights), [], 0
        for run in runs:
            own = [[next(remaining) for _ in branch.weights] for branch in itertools.chain(*run)]
            scans.append(cls(run, own, seed, slices, context, target))
            target = (target + sum(map(len, run))) % 2
        return scans

    def _by_step(self, values: Sequence[Sequence[tf.Tensor]]) -> list[SliceArray]:
        return [self.steps.array(same) for same in zip(*values, strict=True)]

    def _branch_inputs(
        self, index: int, step: tf.Tensor, seed: tf.Tensor | None, context: Context | None
    ) -> BranchInputs:
        weights, constants = ([x.read(step) for x in arrays[index]] for arrays in (self.weights, self.constants))
        return BranchInputs(weights, constants, seed, context)

    def forward(self, streams: Sequence[SliceArray]) -> tuple[list[SliceArray], list[list[SliceArray]]]:
        """Adds all branches to the streams.

        Returns:
            The new streams, and for each branch its saved buckets as arrays by step.
        """
        known = self._replayed()

        def body(step: tf.Tensor, state: list) -> list:
            streams, saved = (list(x) for x in state)
            for index, branch in enumerate(self.branches):
                target = self.targets[index]
                replayed = known[index]
                buckets = None if replayed is None else replayed.read(step)
                if self.steps.is_single and self.hashing[index]:
                    buckets = replay.take()
                streams[target], found = branch.forward(
                    self.slices,
                    Streams(streams[1 - target], streams[target]),
                    self._branch_inputs(index, step, self.seed, self.context),
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

    def _context_of_its_own(self, upstream: tf.Tensor) -> Context | None:
        """The same context, known only with a gradient: else the forward pass would save its keys and values.

        A graph's optimizer and XLA compute what equal operations give once, and keys and values depend on nothing but
        the context and weights.
        """
        if self.context is None:
            return None
        vectors = tf.identity(self.context.vectors)
        if loops.in_xla():
            number = shapes.first(upstream)
            vectors += tf.cast(number > number.dtype.max, vectors.dtype)
        return self.context._replace(vectors=vectors)

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
        d_context: Sequence[SliceArray],
    ) -> tuple[list[SliceArray], list[SliceArray], list[list[tf.Tensor]], list[SliceArray]]:
        """Subtracts all branches from the streams, and computes their gradients.

        Args:
            streams: after the branches.
            gradients: of these streams.
            saved: the buckets that `forward` returned.
            finished: tensors that must be computed before.
            d_context: the gradient of the context by later branches, if there is a context; else empty.

        Returns:
            The streams and their gradients before the branches, the gradients of each branch's weights, and that of the
            context with these branches' part.
        """

        def body(step: tf.Tensor, state: list) -> list:
            streams, gradients, totals, d_context = (list(x) for x in state)
            done: list[tf.Tensor] = []
            for index in reversed(range(len(self.branches))):
                target, source = self.targets[index], 1 - self.targets[index]
                # Rebuilding needs no incoming gradient, so a graph's executor could do it early for all layers, or
                # postpone the weights' gradients, and keep all tensors alive. The dependencies let a branch start only
                # when the one after it is done. The identities prevent that the rebuilding is merged with the forward
                # pass.
                before = [self.slices.handle(gradient) for gradient in (*gradients, *d_context)]
                with tf.control_dependencies([*before, *done]):
                    inputs = self._computed_once(self._after(streams[source].identity(), done or finished))
                    upstream = self._computed_once(gradients[target].identity())
                    seed = None if self.seed is None else tf.identity(self.seed)
                    # XLA ignores these dependencies: it would compute tensors that depend only on buckets once, and
                    # keep them from the forward pass on. It cannot do so if they depend on the gradient.
                    number = shapes.first(upstream.read(0))
                    buckets = [x.read(step) for x in saved[index]]
                    buckets = [b + tf.cast(number > number.dtype.max, b.dtype) for b in buckets]
                    context = self._context_of_its_own(upstream.read(0))
                streams[source] = inputs
                streams[target], found, done = self.branches[index].backward(
                    self.slices,
                    Streams(inputs, streams[target]),
                    Gradients(gradients[source], upstream, d_context[0] if d_context else None),
                    self._with_casts_of_their_own(self._branch_inputs(index, step, seed, context), upstream.read(0)),
                    buckets,
                )
                gradients[source], gradients[target] = found.source, found.target
                d_context = [] if found.context is None else [found.context]
                totals[index] = [total.write(step, x) for total, x in zip(totals[index], done, strict=True)]
            return [streams, gradients, totals, d_context]

        # Starts only when `finished` is computed: otherwise the tensors of both would be alive together.
        with tf.control_dependencies(finished):
            upstream = [gradient.identity() for gradient in gradients]
        after = upstream[0].read(0)
        buffers = [[self.steps.empty(w.dtype, w.shape, after) for w in branch.weights] for branch in self.branches]
        before, d_streams, totals, found = self.steps.backward(
            body, [list(streams), upstream, buffers, list(d_context)]
        )
        d_weights = [[x.read(step) for x in arrays] for step in range(self.steps.count) for arrays in totals]
        return before, d_streams, d_weights, found
