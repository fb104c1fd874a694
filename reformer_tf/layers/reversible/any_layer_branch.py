"""Any layer as a branch of a reversible stack."""

from collections.abc import Sequence

import tensorflow as tf

from reformer_tf.layers import branch_calls
from reformer_tf.layers.reversible.layer_branch import LayerBranch, changed_whole
from reformer_tf.ops import replay
from reformer_tf.ops.execution.sequence_slices import Cutting, Pieces
from reformer_tf.ops.reversible.branch import Given, Streams


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
        for layer in self.layer._flatten_layers():
            # Such a function would go on with the values that weights had when it was traced.
            if isinstance(layer.call, tf.types.experimental.PolymorphicFunction):
                raise ValueError(
                    "The call of a layer in a reversible stack must not be a tf.function: leave out the decorator (the"
                    " model around it is compiled all the same), or set reversible=False."
                    f" Received: {layer.name} ({type(layer).__name__})"
                )
        with self.given(given), tf.GradientTape() as tape:
            output = branch_calls.call(self.layer, x, {**self.options, "seed": given.seed})
        if tape.watched_variables():
            raise ValueError(
                "A branch of a reversible stack must read no variables but its own weights, which are those of"
                " add_weight and of its sublayers; or set reversible=False."
                f" Received: {self.layer.name}, which reads {[v.name for v in tape.watched_variables()]}"
            )
        return output
