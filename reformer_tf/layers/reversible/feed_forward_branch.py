"""Feed-forward branches of a reversible stack."""

from collections.abc import Hashable, Sequence

import tensorflow as tf

from reformer_tf.layers.reversible.layer_branch import Residual, changed
from reformer_tf.ops.execution import compiled_functions, row_chunks
from reformer_tf.ops.execution.sequence_slices import Cutting, Pieces
from reformer_tf.ops.reversible.branch import Given, Streams


class PositionWise(Residual):
    """A `ResidualBranch` whose layer treats each token by itself: a piece at a time, computed once going back."""

    def sublayer_kind(self) -> Hashable:
        layer = self.layer.layer
        return type(layer), layer.activation, layer.gated, layer.use_bias, layer.rows

    def forward(
        self, cutting: Cutting, streams: Streams, given: Given, buckets: tf.Tensor | None
    ) -> tuple[Pieces, list[tf.Tensor]]:
        def body(index: tf.Tensor, state: list) -> list:
            update = self._call(cutting, streams.source.read(index), given, index)
            return [changed(state[0], index, tf.add, update)]

        return cutting.sweep(body, [streams.target])[0], []

    def backward(
        self, cutting: Cutting, streams: Streams, slopes: Streams, given: Given, kept: Sequence[tf.Tensor]
    ) -> tuple[Pieces, Pieces, list[tf.Tensor]]:
        sums = self.sums(given.weights)

        def body(index: tf.Tensor, state: list) -> list:
            target, d_source, *totals = state
            x, upstream = streams.source.read(index), slopes.target.read(index)
            with tf.GradientTape() as tape:
                tape.watch([x, *given.weights])
                update = self._call(cutting, x, given, index)
            upstream = tf.cast(upstream, update.dtype)
            slope, *own = tape.gradient(update, [x, *given.weights], output_gradients=upstream)
            return [
                changed(target, index, tf.subtract, update),
                changed(d_source, index, tf.add, slope),
                *sums.add(totals, own),
            ]

        target, d_source, *totals = cutting.sweep(body, [streams.target, slopes.source, *sums.zeros()])
        return target, d_source, sums.checked(totals)

    def _call(self, cutting: Cutting, x: tf.Tensor, given: Given, index: tf.Tensor) -> tf.Tensor:
        with self.given(given), compiled_functions.fusing(self.training), row_chunks.at_most(cutting.most):
            update = self.layer.layer(self.layer.normalization(x), training=self.options["training"])
        return self.dropped(update, given, index * cutting.size)
