"""Any layer as a branch of a reversible stack."""

from collections.abc import Sequence

import tensorflow as tf

from reformer_tf.layers import arguments
from reformer_tf.layers.branches.base import LayerBranch, changed_whole
from reformer_tf.ops import replay
from reformer_tf.ops.branch import Given, Streams
from reformer_tf.ops.pieces import Cutting, Pieces


class Whole(LayerBranch):
    """Any layer: called on the whole of its input."""

    def forward(
        self, cutting: Cutting, streams: Streams, given: Given, buckets: tf.Tensor | None
    ) -> tuple[Pieces, list[tf.Tensor]]:
        # What is replayed to layers inside reaches them, and what they record is recorded, without this branch.
        with replay.recording() as kept:
            update = self._call(cutting.join(streams.source), given)
        return changed_whole(cutting, streams.target, tf.add, update), kept

    def backward(
        self, cutting: Cutting, streams: Streams, slopes: Streams, given: Given, kept: Sequence[tf.Tensor]
    ) -> tuple[Pieces, Pieces, list[tf.Tensor]]:
        x, upstream = cutting.join(streams.source), cutting.join(slopes.target)
        sums = self.sums(given.weights)
        with tf.GradientTape() as tape, replay.replaying(kept):
            tape.watch([x, *given.weights])
            update = self._call(x, given)
        upstream = tf.cast(upstream, update.dtype)
        slope, *own = tape.gradient(update, [x, *given.weights], output_gradients=upstream)
        d_source = slopes.source if slope is None else changed_whole(cutting, slopes.source, tf.add, slope)
        before = changed_whole(cutting, streams.target, tf.subtract, update)
        return before, d_source, sums.checked(sums.add(sums.zeros(), own))

    def _call(self, x: tf.Tensor, given: Given) -> tf.Tensor:
        with self.given(given):
            output = self.layer(x, **arguments.accepted(self.layer, {**self.options, "seed": given.seed}))
        if output.shape.rank != x.shape.rank or output.shape[-1] != x.shape[-1]:
            raise ValueError(
                "A branch of a reversible stack must keep the shape of its input."
                f" Received: {self.layer.name}, which maps {x.shape} to {output.shape}"
            )
        return output
