"""Feed-forward branches of a reversible stack."""

import json
from collections.abc import Hashable, Sequence

import tensorflow as tf

from reformer_tf.layers.reversible.layer_branch import Residual, changed
from reformer_tf.ops import shapes
from reformer_tf.ops.execution import compiled_functions, row_chunks
from reformer_tf.ops.execution.sequence_slices import SequenceSlices, SliceArray
from reformer_tf.ops.reversible.branch import BranchInputs, Gradients, Streams


class PositionWise(Residual):
    """A `ResidualBranch` with a position-wise layer: a slice at a time, recomputed once in the backward pass."""

    def sublayer_kind(self) -> Hashable:
        layer = self.layer.layer
        adapters = json.dumps(layer.lora_config())
        return type(layer), layer.activation, layer.gated, layer.use_bias, layer.rows, adapters

    def forward(
        self, slices: SequenceSlices, streams: Streams, branch_inputs: BranchInputs, buckets: tf.Tensor | None
    ) -> tuple[SliceArray, list[tf.Tensor]]:
        def body(index: shapes.Size, state: list) -> list:
            update = self._call(slices, streams.source.read(index), branch_inputs, index)
            return [changed(state[0], index, tf.add, update)]

        return slices.sweep(body, [streams.target])[0], []

    def backward(
        self,
        slices: SequenceSlices,
        streams: Streams,
        gradients: Gradients,
        branch_inputs: BranchInputs,
        saved: Sequence[tf.Tensor],
    ) -> tuple[SliceArray, Gradients, list[tf.Tensor]]:
        sums = self.sums(branch_inputs.weights)

        def body(index: shapes.Size, state: list) -> list:
            target, d_source, *totals = state
            x, upstream = streams.source.read(index), gradients.target.read(index)
            with tf.GradientTape() as tape:
                tape.watch([x, *branch_inputs.weights])
                update = self._call(slices, x, branch_inputs, index)
            upstream = tf.cast(upstream, update.dtype)
            d_x, *own = tape.gradient(update, [x, *branch_inputs.weights], output_gradients=upstream)
            return [
                changed(target, index, tf.subtract, update),
                changed(d_source, index, tf.add, d_x),
                *sums.add(totals, own),
            ]

        target, d_source, *totals = slices.sweep(body, [streams.target, gradients.source, *sums.zeros()])
        return target, gradients._replace(source=d_source), sums.checked(totals)

    def _call(self, slices: SequenceSlices, x: tf.Tensor, branch_inputs: BranchInputs, index: shapes.Size) -> tf.Tensor:
        with (
            self.weight_scope(branch_inputs),
            compiled_functions.compiling_functions(self.training),
            row_chunks.at_most(slices.most),
        ):
            update = self.layer.layer(self.layer.normalization(x), training=self.options["training"])
        return self.dropped(update, branch_inputs, index * slices.size)
