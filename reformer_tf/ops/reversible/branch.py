"""What a reversible stack asks of its branches."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import tensorflow as tf

from reformer_tf.ops.execution.sequence_slices import SequenceSlices, SliceArray


class BranchInputs(NamedTuple):
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

    source: SliceArray
    target: SliceArray


class Branch(Protocol):
    """A residual branch `target + F(source)` as a pure function of streams, weights and seed.

    Equal arguments, and equal kept buckets, must give equal results. Letters: B rows, l tokens of a piece, M width.

    Attributes:
        weights: values of the trainable weights.
        constants: values, without a gradient, of what else differs from the branches that it takes turns with.
    """

    weights: Sequence[tf.Tensor]
    constants: Sequence[tf.Tensor]

    def hashes(self, slices: SequenceSlices) -> bool:
        """Whether `forward` takes buckets and keeps those it used, int32 `[B, H, R, L]`."""

    def buckets_shape(self, slices: SequenceSlices) -> Sequence[int | None]:
        """Of the buckets, if it hashes."""

    def forward(
        self, slices: SequenceSlices, streams: Streams, branch_inputs: BranchInputs, buckets: tf.Tensor | None
    ) -> tuple[SliceArray, list[tf.Tensor]]:
        """Adds the branch.

        Args:
            slices: how the streams are cut.
            streams: before the branch.
            branch_inputs: weights and seed.
            buckets: if they are known; else None.

        Returns:
            The new target, and the buckets to keep.
        """

    def backward(
        self,
        slices: SequenceSlices,
        streams: Streams,
        gradients: Streams,
        branch_inputs: BranchInputs,
        saved: Sequence[tf.Tensor],
    ) -> tuple[SliceArray, SliceArray, list[tf.Tensor]]:
        """Takes the branch off again, and adds what it adds to the gradient.

        Args:
            slices: how the streams are cut.
            streams: after the branch.
            gradients: gradients of the streams after the branch.
            branch_inputs: as in `forward`.
            saved: what `forward` kept.

        Returns:
            The target before the branch, the gradient of the source before it, and those of the weights.
        """


# Branches that take turns: for each turn, F and G of its blocks. Every turn is the same function as the first, of the
# streams, the weights and the constants.
Run = Sequence[Sequence[Branch]]
