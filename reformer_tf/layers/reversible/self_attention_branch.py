"""Branches of a reversible stack with self-attention."""

from collections.abc import Sequence

import tensorflow as tf

from reformer_tf.layers.attention.base import Call, SelfAttention
from reformer_tf.layers.attention.projections import Heads
from reformer_tf.layers.reversible.attention_branch import AttentionBranch
from reformer_tf.layers.reversible.head_groups import select_heads
from reformer_tf.layers.reversible.layer_branch import Sums
from reformer_tf.ops import shapes
from reformer_tf.ops.execution import compiled_functions, row_chunks
from reformer_tf.ops.execution.sequence_slices import SequenceSlices, SliceArray
from reformer_tf.ops.reversible.branch import BranchInputs


class SelfAttentionBranch(AttentionBranch):
    """A `ResidualBranch` around self-attention."""

    attention: SelfAttention

    def hashes(self, slices: SequenceSlices) -> bool:
        return self.attention.hashes(slices.length)

    def buckets_shape(self, slices: SequenceSlices) -> Sequence[int | None]:
        sizes = (slices.batch, self.attention.num_heads, self.attention.num_hashes, slices.length)
        return [shapes.static(size) for size in sizes]

    def vectors(
        self,
        slices: SequenceSlices,
        source: SliceArray,
        branch_inputs: BranchInputs,
        heads: Heads,
        buckets: tf.Tensor | None,
    ) -> tuple[list[tf.Tensor], tf.Tensor | None]:
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

    def attend(
        self, vectors: list[tf.Tensor], branch_inputs: BranchInputs, heads: Heads, buckets: tf.Tensor | None
    ) -> tf.Tensor:
        with self.weight_scope(branch_inputs):
            return self.attention.attend_heads(vectors, heads, self._call(branch_inputs), buckets)

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
        d_source, d_context, totals = state

        def project(x: tf.Tensor, index: shapes.Size) -> list[tf.Tensor]:
            return self._project(slices, x, branch_inputs, heads, index)

        d_source, totals = self.spread(slices, source.read, project, d_vectors, d_source, totals, sums)
        return [d_source, d_context, totals]

    def _call(self, branch_inputs: BranchInputs) -> Call:
        seed = branch_inputs.seed if self.attention.is_random(self.training) else None
        layer_seed = self.own_integers(branch_inputs)[1]
        return Call(self.options["mask"], self.options["segment_ids"], seed, layer_seed, self.training)

    def _project(
        self, slices: SequenceSlices, x: tf.Tensor, branch_inputs: BranchInputs, heads: Heads, index: shapes.Size
    ) -> list[tf.Tensor]:
        mask = self.slice_of_mask(slices, self.options["mask"], index)
        with (
            self.weight_scope(branch_inputs),
            compiled_functions.compiling_functions(self.training),
            row_chunks.at_most(slices.most),
        ):
            normal = self.layer.normalization(x)
            return self.attention.project(normal, heads, mask, index * slices.size)
