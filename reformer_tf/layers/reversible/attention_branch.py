"""The base of attention branches of a reversible stack."""

import json
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import tensorflow as tf

from reformer_tf.layers.attention.base import SelfAttention
from reformer_tf.layers.attention.cross_attention import CrossAttention
from reformer_tf.layers.attention.projections import Heads
from reformer_tf.layers.residual_branch import ResidualBranch
from reformer_tf.layers.reversible.head_groups import HeadGroups
from reformer_tf.layers.reversible.layer_branch import Residual, Sums, changed
from reformer_tf.ops import shapes
from reformer_tf.ops.execution import barriers
from reformer_tf.ops.execution.sequence_slices import SequenceSlices, SliceArray
from reformer_tf.ops.reversible.branch import BranchInputs, Gradients, Streams

# Entries of a layer's config that do not change its computation, or that are among the constants.
_NOT_COMPUTED = ("name", "trainable", "dtype", "seed", "kernel_initializer")


class AttentionBranch(Residual):
    """A `ResidualBranch` around attention: projections slice by slice, attention of some heads at a time.

    A subclass implements `vectors`, `attend` and `add_gradients`.
    """

    def __init__(self, layer: ResidualBranch, options: dict[str, Any]):
        self.attention: SelfAttention | CrossAttention = layer.layer
        super().__init__(layer, options, [self.attention.seed])

    def sublayer_kind(self) -> Hashable:
        # A user's layer may have state that its config does not describe.
        if not type(self.attention).__module__.startswith("reformer_tf."):
            return None
        config = {k: v for k, v in self.attention.get_config().items() if k not in _NOT_COMPUTED}
        return type(self.attention), json.dumps(config, sort_keys=True)

    def vectors(
        self,
        slices: SequenceSlices,
        source: SliceArray,
        branch_inputs: BranchInputs,
        heads: Heads,
        buckets: tf.Tensor | None,
    ) -> tuple[list[tf.Tensor], tf.Tensor | None]:
        """Computes queries, keys and values of some heads, and their buckets.

        Args:
            slices: how the streams are sliced.
            source: slices `[B, l, M]`.
            branch_inputs: weights, seed and context.
            heads: to compute.
            buckets: of all heads, int32 `[B, H, R, L]`; None to hash, or where nothing is hashed.

        Returns:
            `[B, L, h, D]` each (keys and values of a context `[B, S, h, D]`), and int32 `[B, h, R, L]` or None.
        """
        raise NotImplementedError

    def attend(
        self, vectors: list[tf.Tensor], branch_inputs: BranchInputs, heads: Heads, buckets: tf.Tensor | None
    ) -> tf.Tensor:
        """Attends with results of `vectors`; returns `[B, L, h, D]`."""
        raise NotImplementedError

    def add_gradients(
        self,
        slices: SequenceSlices,
        source: SliceArray,
        branch_inputs: BranchInputs,
        heads: Heads,
        d_vectors: Sequence[tf.Tensor],
        state: list,
        sums: Sums,
    ) -> list:
        """Adds what follows from the gradients of `vectors`.

        Args:
            slices: how the streams are sliced.
            source: slices `[B, l, M]`.
            branch_inputs: weights, seed and context.
            heads: of the vectors.
            d_vectors: gradients of the results of `vectors`.
            state: the gradient of the source, a list of that of the context (or of nothing), and a list of those of the
                weights.
            sums: of the gradients of weights.

        Returns:
            The state with these parts.
        """
        raise NotImplementedError

    def spread(
        self,
        slices: SequenceSlices,
        read: Callable[[shapes.Size], tf.Tensor],
        project: Callable[[tf.Tensor, shapes.Size], Sequence[tf.Tensor]],
        d_vectors: Sequence[tf.Tensor],
        total: SliceArray,
        totals: list[tf.Tensor],
        sums: Sums,
    ) -> list:
        """Adds the gradients of what heads' vectors are projected from, slice by slice.

        Args:
            slices: how it is sliced.
            read: reads a slice `[B, l, M]`.
            project: projects a slice to vectors `[B, l, h, D]`.
            d_vectors: the gradients of all vectors, `[B, L, h, D]`.
            total: the sum of gradients that those of the slices are added to.
            totals: the sums of the gradients of weights.
            sums: of the gradients of weights.

        Returns:
            The sums with these parts: slices `[B, l, M]`, and those of the weights.
        """
        prepared = [slices.prepared(d_vector) for d_vector in d_vectors]

        def body(index: shapes.Size, state: list) -> list:
            total, totals = state
            x = read(index)
            with tf.GradientTape() as tape:
                tape.watch([x, *sums.weights])
                projected = project(x, index)
            upstream = [slices.take(d_vector, index) for d_vector in prepared]
            d_x, *own = tape.gradient(projected, [x, *sums.weights], output_gradients=upstream)
            return [changed(total, index, tf.add, d_x), sums.add(totals, own)]

        return slices.sweep(body, [total, totals])

    def head_groups(self, slices: SequenceSlices, branch_inputs: BranchInputs) -> HeadGroups:
        """The groups of heads that are computed one after another."""
        return HeadGroups(self.attention, slices, slices.length)

    def forward(
        self, slices: SequenceSlices, streams: Streams, branch_inputs: BranchInputs, buckets: tf.Tensor | None
    ) -> tuple[SliceArray, list[tf.Tensor]]:
        groups = self.head_groups(slices, branch_inputs)
        hashes = self.hashes(slices)

        def add_group(group: tf.Tensor, state: list) -> list:
            heads = groups.heads(group)
            vectors, found = self.vectors(slices, streams.source, branch_inputs, heads, buckets)
            output = slices.prepared(self.attend(vectors, branch_inputs, heads, found))

            def add(index: shapes.Size, state: list) -> list:
                update = self._merge(slices, slices.take(output, index), branch_inputs, heads, index)
                return [changed(state[0], index, tf.add, update)]

            added = slices.sweep(add, state[:1])
            return added if not hashes else [*added, state[1].write(group, found)]

        if not hashes:
            return groups.each(add_group, [streams.target])[0], []
        buffer = groups.buckets(self.attention.num_hashes, streams.source.read(0))
        target, found = groups.each(add_group, [streams.target, buffer])
        return target, [groups.joined(found)]

    def backward(
        self,
        slices: SequenceSlices,
        streams: Streams,
        gradients: Gradients,
        branch_inputs: BranchInputs,
        saved: Sequence[tf.Tensor],
    ) -> tuple[SliceArray, Gradients, list[tf.Tensor]]:
        groups = self.head_groups(slices, branch_inputs)
        weights, sums = branch_inputs.weights, self.sums(branch_inputs.weights)

        def remove_group(group: tf.Tensor, state: list) -> list:
            target, d_source, d_context, totals = state
            heads = groups.heads(group)
            vectors, buckets = self.vectors(slices, streams.source, branch_inputs, heads, saved[0] if saved else None)
            with tf.GradientTape() as tape:
                tape.watch([*vectors, *weights])
                output = self.attend(vectors, branch_inputs, heads, buckets)
            padded = slices.prepared(tf.stop_gradient(output))

            def rebuild(index: shapes.Size, state: list) -> list:
                target, d_output, *totals = state
                part = slices.take(padded, index)
                with tf.GradientTape() as tape:
                    tape.watch([part, *weights])
                    update = self._merge(slices, part, branch_inputs, heads, index)
                # Otherwise XLA would cast the whole stream, once for all groups of heads.
                upstream = barriers.after(gradients.target.read(index), update)
                upstream = tf.cast(upstream, update.dtype)
                d_part, *own = tape.gradient(update, [part, *weights], output_gradients=upstream)
                return [
                    changed(target, index, tf.subtract, update),
                    d_output.write(index, d_part),
                    *sums.add(totals, own),
                ]

            d_output = slices.empty(output.dtype, output.shape[2:], output)
            target, d_output, *totals = slices.sweep(rebuild, [target, d_output, *totals])
            found = tape.gradient(output, [*vectors, *weights], output_gradients=slices.join(d_output))
            totals = sums.add(totals, found[len(vectors) :])
            state = [d_source, d_context, totals]
            d_vectors = found[: len(vectors)]
            return [
                target,
                *self.add_gradients(slices, streams.source, branch_inputs, heads, d_vectors, state, sums),
            ]

        d_contexts = [] if gradients.context is None else [gradients.context]
        state = [streams.target, gradients.source, d_contexts, sums.zeros()]
        target, d_source, d_contexts, totals = groups.each(remove_group, state)
        d_context = d_contexts[0] if d_contexts else None
        return target, gradients._replace(source=d_source, context=d_context), sums.checked(totals)

    def _merge(
        self, slices: SequenceSlices, x: tf.Tensor, branch_inputs: BranchInputs, heads: Heads, index: shapes.Size
    ) -> tf.Tensor:
        """Computes the update of a slice of the target by some heads."""
        with self.weight_scope(branch_inputs):
            update = self.attention.merge(x, heads)
        return self.dropped(update, branch_inputs, index * slices.size)

    def slice_of_mask(self, slices: SequenceSlices, mask: Any, index: shapes.Size) -> tf.Tensor | None:
        """One slice `[B, l]` of a mask `[B, L]`, if there is one."""
        return None if mask is None else slices.take(slices.prepared(tf.cast(mask, tf.bool)), index)
