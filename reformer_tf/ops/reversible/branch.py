"""The interface between a reversible stack and its branches."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import tensorflow as tf

from reformer_tf.ops.execution.sequence_slices import SequenceSlices, SliceArray


class BranchInputs(NamedTuple):
    """The inputs of a branch besides the streams.

    Attributes:
        weights: values of the trainable weights.
        constants: values of other tensors by which equal branches differ, see `Branch.constants`.
        seed: int32 seed of the call, or None.
    """

    weights: Sequence[tf.Tensor]
    constants: Sequence[tf.Tensor]
    seed: tf.Tensor | None


class Streams(NamedTuple):
    """The stream that a branch reads and the stream that it adds to, or their gradients: slices `[B, l, M]`."""

    source: SliceArray
    target: SliceArray


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
            branch_inputs: weights and seed.
            buckets: replayed buckets, or None.

        Returns:
            The new target, and the buckets to save for the gradient.
        """

    def backward(
        self,
        slices: SequenceSlices,
        streams: Streams,
        gradients: Streams,
        branch_inputs: BranchInputs,
        saved: Sequence[tf.Tensor],
    ) -> tuple[SliceArray, SliceArray, list[tf.Tensor]]:
        """Subtracts the branch from the target again, and adds its part to the gradients.

        Args:
            slices: how the streams are sliced.
            streams: after the branch.
            gradients: gradients of the streams after the branch.
            branch_inputs: as in `forward`.
            saved: the buckets that `forward` returned.

        Returns:
            The target before the branch, the gradient of the source before it, and those of the weights.
        """


# The branches of a layer scan: for each scan step, F and G of its blocks. All steps are the same function of streams,
# weights and constants.
Run = Sequence[Sequence[Branch]]
