"""Branches of a reversible stack with cross-attention."""

from collections.abc import Sequence

import tensorflow as tf

from reformer_tf.layers import branch_calls
from reformer_tf.layers.attention.cross_attention import CrossAttention, CrossCall
from reformer_tf.layers.attention.projections import Heads
from reformer_tf.layers.reversible.attention_branch import AttentionBranch
from reformer_tf.layers.reversible.head_groups import HeadGroups
from reformer_tf.layers.reversible.layer_branch import Sums
from reformer_tf.ops import shapes
from reformer_tf.ops.execution import compiled_functions, row_chunks
from reformer_tf.ops.execution.sequence_slices import SequenceSlices, SliceArray
from reformer_tf.ops.reversible.branch import BranchInputs, Context
from reformer_tf.ops.sums import wide


class CrossAttentionBranch(AttentionBranch):
    """A `ResidualBranch` around cross-attention: queries from the source stream, keys and values from the context."""

    attention: CrossAttention

    def head_groups(self, slices: SequenceSlices, branch_inputs: BranchInputs) -> HeadGroups:
        longest = shapes.maximum(slices.length, self._context(branch_inputs).slices.length)
        return HeadGroups(self.attention, slices, longest)

    def vectors(
        self,
        slices: SequenceSlices,
        source: SliceArray,
        branch_inputs: BranchInputs,
        heads: Heads,
        buckets: tf.Tensor | None,
    ) -> tuple[list[tf.Tensor], tf.Tensor | None]:
        context = self._context(branch_inputs)
        shape, dtype = [heads.count, self.attention.key_dim], tf.as_dtype(self.attention.compute_dtype)

        def queries(index: shapes.Size, state: list) -> list:
            query = self._project_queries(slices, source.read(index), branch_inputs, heads, index)
            return [state[0].write(index, query)]

        def keys_and_values(index: shapes.Size, state: list) -> list:
            projected = self._project_context(context.take(index), branch_inputs, heads, index)
            return [array.write(index, x) for array, x in zip(state, projected, strict=True)]

        (query,) = slices.sweep(queries, [slices.empty(dtype, shape, source.read(0))])
        arrays = [context.slices.empty(dtype, shape, context.vectors) for _ in range(2)]
        found = context.slices.sweep(keys_and_values, arrays)
        return [slices.join(query), *(context.slices.join(array) for array in found)], None

    def attend(
        self, vectors: list[tf.Tensor], branch_inputs: BranchInputs, heads: Heads, buckets: tf.Tensor | None
    ) -> tf.Tensor:
        random = self.attention.is_random(self.training)
        call = CrossCall(
            self.options["mask"],
            self.options["context_mask"],
            branch_inputs.seed if random else None,
            self.own_integers(branch_inputs)[1],
            self.training,
        )
        with self.weight_scope(branch_inputs):
            return self.attention.attend_heads(vectors, heads, call)

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
        d_source, (d_context,), totals = state
        context = self._context(branch_inputs)

        def project_queries(x: tf.Tensor, index: shapes.Size) -> list[tf.Tensor]:
            return [self._project_queries(slices, x, branch_inputs, heads, index)]

        def project_context(x: tf.Tensor, index: shapes.Size) -> list[tf.Tensor]:
            return self._project_context(x, branch_inputs, heads, index)

        def read_context(index: shapes.Size) -> tf.Tensor:
            # Widened, so that a part is not rounded to the context's dtype before it is added.
            return wide(context.take(index))

        d_query, *d_others = d_vectors
        d_source, totals = self.spread(slices, source.read, project_queries, [d_query], d_source, totals, sums)
        d_context, totals = self.spread(
            context.slices, read_context, project_context, d_others, d_context, totals, sums
        )
        return [d_source, [d_context], totals]

    def _context(self, branch_inputs: BranchInputs) -> Context:
        if branch_inputs.context is None:
            raise branch_calls.no_context(self.attention)
        return branch_inputs.context

    def _project_queries(
        self, slices: SequenceSlices, x: tf.Tensor, branch_inputs: BranchInputs, heads: Heads, index: shapes.Size
    ) -> tf.Tensor:
        mask = self.slice_of_mask(slices, self.options["mask"], index)
        with (
            self.weight_scope(branch_inputs),
            compiled_functions.compiling_functions(self.training),
            row_chunks.at_most(slices.most),
        ):
            return self.attention.project_queries(self.layer.normalization(x), heads, mask)

    def _project_context(
        self, x: tf.Tensor, branch_inputs: BranchInputs, heads: Heads, index: shapes.Size
    ) -> list[tf.Tensor]:
        mask = self.slice_of_mask(self._context(branch_inputs).slices, self.options["context_mask"], index)
        with self.weight_scope(branch_inputs):
            return self.attention.project_context(x, heads, mask)
