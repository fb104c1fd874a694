"""The interface between a reversible stack and its branches."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import tensorflow as tf

from reformer_tf.ops import shapes
from reformer_tf.ops.execution.sequence_slices import SequenceSlices, SliceArray


class Context(NamedTuple):
    """Another sequence that all branches may attend to, `[B, S, M]`.

    Attributes:
        slices: how it is sliced.
        vectors: the sequence, from `slices.prepared`.
    """

    slices: SequenceSlices
    vectors: tf.Tensor

    def take(self, index: shapes.Size) -> tf.Tensor:
        """One slice `[B, s, M]`."""
        return self.slices.take(self.vectors, index)

    def whole(self) -> tf.Tensor:
        """The sequence `[B, S, M]`."""
        return self.vectors[:, : self.slices.length]


class BranchInputs(NamedTuple):
    """The inputs of a branch besides the streams.

    Attributes:
        weights: values of the trainable weights.
        constants: values of other tensors by which equal branches differ, see `Branch.constants`.
        seed: int32 seed of the call, or None.
        context: the sequence that cross-attention attends to, or None.
    """

    weights: Sequence[tf.Tensor]
    constants: Sequence[tf.Tensor]
    seed: tf.Tensor | None
    context: Context | None = None


class Streams(NamedTuple):
    """The stream that a branch reads and the stream that it adds to: slices `[B, l, M]`."""

    source: SliceArray
    target: SliceArray


class Gradients(NamedTuple):
    """The gradients of the two streams, and the sum over branches of those of the context, if there is one.

    Attributes:
        source: of the stream that a branch reads, slices `[B, l, M]`.
        target: of the stream that it adds to.
        context: slices `[B, s, M]` in at least float32, or None.
    """

    source: SliceArray
    target: SliceArray
    context: SliceArray | None


class Branch(Protocol):
    """A residual branch `target + F(source)` as a pure function of streams, weights and seed.

    Equal arguments and equal saved buckets must give equal results. Letters: B rows, l tokens of a slice, M width.

    Attributes:
        weights: values of the trainable weights.
        constants: values, without a gradient, of other tensors by which the branches of a layer scan differ.
    """

    weights: Sequence[tf.Tensor]
    constants: Sequence[tf.Tensor]

    def hashes(self, slices: SequenceSlices) -> bool:
        """Whether `forward` takes buckets and returns those it used, int32 `[B, H, R, L]`."""

    def buckets_shape(self, slices: SequenceSlices) -> Sequence[int | None]:
        """The shape of the buckets, if the branch hashes."""

    def forward(
        self, slices: SequenceSlices, streams: Streams, branch_inputs: BranchInputs, buckets: tf.Tensor | None
    ) -> tuple[SliceArray, list[tf.Tensor]]:
        """Adds the branch.

        Args:
            slices: how the streams are sliced.
            streams: before the branch.
            branch_inputs: weights, seed and context.
            buckets: replayed buckets, or None.

        Returns:
            The new target, and the buckets to save for the gradient.
        """

    def backward(
        self,
        slices: SequenceSlices,
        streams: Streams,
        gradients: Gradients,
        branch_inputs: BranchInputs,
        saved: Sequence[tf.Tensor],
    ) -> tuple[SliceArray, Gradients, list[tf.Tensor]]:
        """Subtracts the branch from the target again, and adds its part to the gradients.

        Args:
            slices: how the streams are sliced.
            streams: after the branch.
            gradients: of the streams after the branch, and of the context by the branches after it.
            branch_inputs: as in `forward`.
            saved: the buckets that `forward` returned.

        Returns:
            The target before the branch, the gradients before it, and those of the weights.
        """


# The branches of a layer scan: for each scan step, those of its blocks. All steps are the same function of streams,
# weights and constants. If there are several steps, each has an even number of branches.
Run = Sequence[Sequence[Branch]]
