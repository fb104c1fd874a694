"""Attention branches of a reversible stack."""

import json
from collections.abc import Hashable, Sequence
from typing import Any

import tensorflow as tf

from reformer_tf.layers.attention.base import Call, SelfAttention
from reformer_tf.layers.attention.projections import Heads
from reformer_tf.layers.residual_branch import ResidualBranch
from reformer_tf.layers.reversible.head_groups import HeadGroups, select_heads
from reformer_tf.layers.reversible.layer_branch import Residual, changed
from reformer_tf.ops import shapes
from reformer_tf.ops.execution import barriers, compiled_functions, row_chunks
from reformer_tf.ops.execution.sequence_slices import SequenceSlices, SliceArray
from reformer_tf.ops.reversible.branch import BranchInputs, Streams

# Entries of a layer's config that do not change its computation, or that are among the constants.
_NOT_COMPUTED = ("name", "trainable", "dtype", "seed", "kernel_initializer")


class Attention(Residual):
    """A `ResidualBranch` around self-attention: projections slice by slice, attention of some heads at a time."""

    def __init__(self, layer: ResidualBranch, options: dict[str, Any]):
        self.attention: SelfAttention = layer.layer
        super().__init__(layer, options, [self.attention.seed])

    def sublayer_kind(self) -> Hashable:
        # A user's layer may have state that its config does not describe.
        if not type(self.attention).__module__.startswith("reformer_tf."):
            return None
        config = {k: v for k, v in self.attention.get_config().items() if k not in _NOT_COMPUTED}
        return type(self.attention), json.dumps(config, sort_keys=True)

    def hashes(self, slices: SequenceSlices) -> bool:
        return self.attention.hashes(slices.length)

    def buckets_shape(self, slices: SequenceSlices) -> Sequence[int | None]:
        sizes = (slices.batch, self.attention.num_heads, self.attention.num_hashes, slices.length)
        return [shapes.static(size) for size in sizes]

    def forward(
        self, slices: SequenceSlices, streams: Streams, branch_inputs: BranchInputs, buckets: tf.Tensor | None
    ) -> tuple[SliceArray, list[tf.Tensor]]:
        groups = HeadGroups(self.attention, slices)
        hashes = self.hashes(slices)

        def add_group(group: tf.Tensor, state: list) -> list:
            heads = groups.heads(group)
            vectors, found = self._vectors(slices, streams.source, branch_inputs, heads, buckets)
            with self.weight_scope(branch_inputs):
                output = slices.prepared(self.attention.attend_heads(vectors, heads, self._call(branch_inputs), found))

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
        gradients: Streams,
        branch_inputs: BranchInputs,
        saved: Sequence[tf.Tensor],
    ) -> tuple[SliceArray, SliceArray, list[tf.Tensor]]:
        groups = HeadGroups(self.attention, slices)
        weights, sums = branch_inputs.weights, self.sums(branch_inputs.weights)

        def remove_group(group: tf.Tensor, state: list) -> list:
            target, d_source, *totals = state
            heads = groups.heads(group)
            vectors, buckets = self._vectors(slices, streams.source, branch_inputs, heads, saved[0] if saved else None)
            with tf.GradientTape() as tape:
                tape.watch([*vectors, *weights])
                with self.weight_scope(branch_inputs):
                    output = self.attention.attend_heads(vectors, heads, self._call(branch_inputs), buckets)
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
            d_vectors = [slices.prepared(d_vector) for d_vector in found[: len(vectors)]]
            totals = sums.add(totals, found[len(vectors) :])

            def spread(index: shapes.Size, state: list) -> list:
                d_source, *totals = state
                x = streams.source.read(index)
                with tf.GradientTape() as tape:
                    tape.watch([x, *weights])
                    projected = self._project(slices, x, branch_inputs, heads, index)
                upstream = [slices.take(d_vector, index) for d_vector in d_vectors]
                d_x, *own = tape.gradient(projected, [x, *weights], output_gradients=upstream)
                return [changed(d_source, index, tf.add, d_x), *sums.add(totals, own)]

            return [target, *slices.sweep(spread, [d_source, *totals])]

        target, d_source, *totals = groups.each(remove_group, [streams.target, gradients.source, *sums.zeros()])
        return target, d_source, sums.checked(totals)

    def _call(self, branch_inputs: BranchInputs) -> Call:
        seed = branch_inputs.seed if self.attention.is_random(self.training) else None
        layer_seed = self.own_integers(branch_inputs)[1]
        return Call(self.options["mask"], self.options["segment_ids"], seed, layer_seed, self.training)

    def _vectors(
        self,
        slices: SequenceSlices,
        source: SliceArray,
        branch_inputs: BranchInputs,
        heads: Heads,
        buckets: tf.Tensor | None,
    ) -> tuple[list[tf.Tensor], tf.Tensor | None]:
        """Computes `SelfAttention.project` of some heads, `[B, L, h, D]` each, and their buckets `[B, h, R, L]`.

        Args:
            slices: how the streams are sliced.
            source: slices `[B, l, M]`.
            branch_inputs: weights and seed.
            heads: to compute.
            buckets: of all heads, int32 `[B, H, R, L]`; None to hash.
        """
        attention = self.attention
        dtype = tf.as_dtype(attention.compute_dtype)
        wanted = self.hashes(slices) and buckets is None

        def body(index: shapes.Size, state: list) -> list:
            projected = self._project(slices, source.read(index), branch_inputs, heads, index)
            written = [a.write(index, x) for a, x in zip(state, projected, strict=False)]
            if not wanted:
                return written
            with self.weight_scope(branch_inputs), compiled_functions.compiling_functions(self.training):
                found = attention.hash(projected[0], heads, self._call(branch_inputs), slices.length)
            return [*written, state[-1].write(index, tf.transpose(found, [0, 3, 1, 2]))]

        number = 2 if attention.shared_query_key else 3
        first = source.read(0)
        arrays = [slices.empty(dtype, [heads.count, attention.key_dim], first) for _ in range(number)]
        if wanted:
            arrays.append(slices.empty(tf.int32, [heads.count, attention.num_hashes], first))
        vectors = [slices.join(array) for array in slices.sweep(body, arrays)]
        if wanted:
            return vectors[:-1], tf.transpose(vectors[-1], [0, 2, 3, 1])
        return vectors, None if buckets is None else select_heads(buckets, heads)

    def _project(
        self, slices: SequenceSlices, x: tf.Tensor, branch_inputs: BranchInputs, heads: Heads, index: shapes.Size
    ) -> list[tf.Tensor]:
        mask = self.options["mask"]
        if mask is not None:
            mask = slices.take(slices.prepared(tf.cast(mask, tf.bool)), index)
        with (
            self.weight_scope(branch_inputs),
            compiled_functions.compiling_functions(self.training),
            row_chunks.at_most(slices.most),
        ):
            normal = self.layer.normalization(x)
            return self.attention.project(normal, heads, mask, index * slices.size)

    def _merge(
        self, slices: SequenceSlices, x: tf.Tensor, branch_inputs: BranchInputs, heads: Heads, index: shapes.Size
    ) -> tf.Tensor:
        """Computes the update of a slice of the target by some heads."""
        with self.weight_scope(branch_inputs):
            update = self.attention.merge(x, heads)
        return self.dropped(update, branch_inputs, index * slices.size)
