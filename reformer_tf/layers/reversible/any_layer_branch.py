"""Any layer as a branch of a reversible stack."""

from collections.abc import Sequence

import tensorflow as tf

from reformer_tf.layers import branch_calls
from reformer_tf.layers.reversible.layer_branch import LayerBranch, changed_everywhere
from reformer_tf.ops import replay
from reformer_tf.ops.execution.sequence_slices import SequenceSlices, SliceArray
from reformer_tf.ops.reversible.branch import BranchInputs, Gradients, Streams


class AnyLayerBranch(LayerBranch):
    """A branch with any Keras layer, which is called on whole sequences."""

    def forward(
        self, slices: SequenceSlices, streams: Streams, branch_inputs: BranchInputs, buckets: tf.Tensor | None
    ) -> tuple[SliceArray, list[tf.Tensor]]:
        # Layers inside take replayed buckets and record theirs by themselves; this branch only records them for itself.
        with replay.recording() as saved:
            update = self._call(slices.join(streams.source), branch_inputs, self._context(branch_inputs))
        return changed_everywhere(slices, streams.target, tf.add, update), saved

    def backward(
        self,
        slices: SequenceSlices,
        streams: Streams,
        gradients: Gradients,
        branch_inputs: BranchInputs,
        saved: Sequence[tf.Tensor],
    ) -> tuple[SliceArray, Gradients, list[tf.Tensor]]:
        x, upstream = slices.join(streams.source), slices.join(gradients.target)
        context = self._context(branch_inputs)
        contexts = [] if context is None else [context]
        sums = self.sums(branch_inputs.weights)
        with tf.GradientTape() as tape, replay.replaying(saved):
            watched = [x, *contexts, *branch_inputs.weights]
            tape.watch(watched)
            update = self._call(x, branch_inputs, context)
        upstream = tf.cast(upstream, update.dtype)
        d_x, *rest = tape.gradient(update, watched, output_gradients=upstream)
        d_contexts, own = rest[: len(contexts)], rest[len(contexts) :]
        if d_x is not None:
            gradients = gradients._replace(source=changed_everywhere(slices, gradients.source, tf.add, d_x))
        if branch_inputs.context is not None and d_contexts and d_contexts[0] is not None:
            total = changed_everywhere(branch_inputs.context.slices, gradients.context, tf.add, d_contexts[0])
            gradients = gradients._replace(context=total)
        before = changed_everywhere(slices, streams.target, tf.subtract, update)
        return before, gradients, sums.checked(sums.add(sums.zeros(), own))

    def _context(self, branch_inputs: BranchInputs) -> tf.Tensor | None:
        """The context, if there is one and the layer takes it."""
        context = branch_inputs.context
        return None if context is None or not branch_calls.takes_context(self.layer) else context.whole()

    def _call(self, x: tf.Tensor, branch_inputs: BranchInputs, context: tf.Tensor | None) -> tf.Tensor:
        for layer in self.layer._flatten_layers():
            # A `tf.function` would go on using the values that weights had when it was traced.
            if isinstance(layer.call, tf.types.experimental.PolymorphicFunction):
                raise ValueError(
                    "The call of a layer in a reversible stack must not be a tf.function: leave out the decorator (the"
                    " model around it is compiled all the same), or set reversible=False."
                    f" Received: {layer.name} ({type(layer).__name__})"
                )
        with self.weight_scope(branch_inputs), tf.GradientTape() as tape:
            output = branch_calls.call(self.layer, x, {**self.options, "context": context, "seed": branch_inputs.seed})
        if tape.watched_variables():
            raise ValueError(
                "A branch of a reversible stack must read no variables but its own weights, which are those of"
                " add_weight and of its sublayers; or set reversible=False."
                f" Received: {self.layer.name}, which reads {[v.name for v in tape.watched_variables()]}"
            )
        return output
