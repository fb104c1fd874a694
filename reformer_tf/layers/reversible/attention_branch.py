"""Attention branches of a reversible stack."""

import json
from collections.abc import Hashable, Sequence
from typing import Any

import tensorflow as tf

from reformer_tf.layers.attention.base import Call, SelfAttention
from reformer_tf.layers.attention.projections import Heads
from reformer_tf.layers.residual_branch import ResidualBranch
from reformer_tf.layers.reversible.head_groups import HeadGroups, of_heads
from reformer_tf.layers.reversible.layer_branch import Residual, changed
from reformer_tf.ops.execution import compiled_functions, row_chunks
from reformer_tf.ops.execution.sequence_slices import Cutting, Pieces
from reformer_tf.ops.reversible.branch import Given, Streams

# What in a layer's config makes no difference to what it computes, or is among the constants.
_NOT_COMPUTED = ("name", "trainable", "dtype", "seed", "kernel_initializer")


class Attention(Residual):
    """A `ResidualBranch` around self-attention: projections by pieces, attention of some heads at a time."""

    def __init__(self, layer: ResidualBranch, options: dict[str, Any]):
        self.attention: SelfAttention = layer.layer
        super().__init__(layer, options, [self.attention.seed])

    def sublayer_kind(self) -> Hashable:
        # A layer of somebody else's may hold what its config does not say.
        if not type(self.attention).__module__.startswith("reformer_tf."):
            return None
        config = {k: v for k, v in self.attention.get_config().items() if k not in _NOT_COMPUTED}
        return type(self.attention), json.dumps(config, sort_keys=True)

    def hashes(self, cutting: Cutting) -> bool:
        return self.attention.hashes(cutting.length)

    def kept_shape(self, cutting: Cutting) -> Sequence[int | None]:
        sizes = (cutting.batch, self.attention.num_heads, self.attention.num_hashes, cutting.length)
        return [size if isinstance(size, int) else None for size in sizes]

    def forward(
        self, cutting: Cutting, streams: Streams, given: Given, buckets: tf.Tensor | None
    ) -> tuple[Pieces, list[tf.Tensor]]:
        groups = HeadGroups(self.attention, cutting)
        hashes = self.hashes(cutting)

        def of_group(group: tf.Tensor, state: list) -> list:
            heads = groups.heads(group)
            vectors, found = self._vectors(cutting, streams.source, given, heads, buckets)
            with self.given(given):
                output = cutting.prepared(self.attention.attend_heads(vectors, heads, self._call(given), found))

            def add(index: tf.Tensor, state: list) -> list:
                update = self._merge(cutting, cutting.piece(output, index), given, heads, index)
                return [changed(state[0], index, tf.add, update)]

            added = cutting.sweep(add, state[:1])
            return added if not hashes else [*added, state[1].write(group, found)]

        if not hashes:
            return groups.each(of_group, [streams.target])[0], []
        room = groups.buckets(self.attention.num_hashes, streams.source.read(0))
        target, found = groups.each(of_group, [streams.target, room])
        return target, [groups.joined(found)]

    def backward(
        self, cutting: Cutting, streams: Streams, slopes: Streams, given: Given, kept: Sequence[tf.Tensor]
    ) -> tuple[Pieces, Pieces, list[tf.Tensor]]:
        groups = HeadGroups(self.attention, cutting)
        weights, sums = given.weights, self.sums(given.weights)

        def of_group(group: tf.Tensor, state: list) -> list:
            target, d_source, *totals = state
            heads = groups.heads(group)
            vectors, buckets = self._vectors(cutting, streams.source, given, heads, kept[0] if kept else None)
            with tf.GradientTape() as tape:
                tape.watch([*vectors, *weights])
                with self.given(given):
                    output = self.attention.attend_heads(vectors, heads, self._call(given), buckets)
            padded = cutting.prepared(tf.stop_gradient(output))

            def rebuild(index: tf.Tensor, state: list) -> list:
                target, d_output, *totals = state
                part = cutting.piece(padded, index)
                with tf.GradientTape() as tape:
                    tape.watch([part, *weights])
                    update = self._merge(cutting, part, given, heads, index)
                upstream = tf.cast(slopes.target.read(index), update.dtype)
                slope, *own = tape.gradient(update, [part, *weights], output_gradients=upstream)
                return [
                    changed(target, index, tf.subtract, update),
                    d_output.write(index, slope),
                    *sums.add(totals, own),
                ]

            d_output = cutting.empty(output.dtype, output.shape[2:], output)
            target, d_output, *totals = cutting.sweep(rebuild, [target, d_output, *totals])
            found = tape.gradient(output, [*vectors, *weights], output_gradients=cutting.join(d_output))
            d_vectors = [cutting.prepared(slope) for slope in found[: len(vectors)]]
            totals = sums.add(totals, found[len(vectors) :])

            def spread(index: tf.Tensor, state: list) -> list:
                d_source, *totals = state
                x = streams.source.read(index)
                with tf.GradientTape() as tape:
                    tape.watch([x, *weights])
                    projected = self._project(cutting, x, given, heads, index)
                upstream = [cutting.piece(slope, index) for slope in d_vectors]
                slope, *own = tape.gradient(projected, [x, *weights], output_gradients=upstream)
                return [changed(d_source, index, tf.add, slope), *sums.add(totals, own)]

            return [target, *cutting.sweep(spread, [d_source, *totals])]

        target, d_source, *totals = groups.each(of_group, [streams.target, slopes.source, *sums.zeros()])
        return target, d_source, sums.checked(totals)

    def _call(self, given: Given) -> Call:
        seed = given.seed if self.attention.is_random(self.training) else None
        layer_seed = self.own_integers(given)[1]
        return Call(self.options["mask"], self.options["segment_ids"], seed, layer_seed, self.training)

    def _vectors(
        self, cutting: Cutting, source: Pieces, given: Given, heads: Heads, buckets: tf.Tensor | None
    ) -> tuple[list[tf.Tensor], tf.Tensor | None]:
        """What `SelfAttention.project` gives of some heads, `[B, L, h, D]` each, and their buckets, `[B, h, R, L]`.

        Args:
            cutting: how the streams are cut.
            source: pieces `[B, l, M]`.
            given: weights and seed.
            heads: which.
            buckets: of all heads, int32 `[B, H, R, L]`, if they are known.
        """
        attention = self.attention
        dtype = tf.as_dtype(attention.compute_dtype)
        wanted = self.hashes(cutting) and buckets is None

        def body(index: tf.Tensor, state: list) -> list:
            projected = self._project(cutting, source.read(index), given, heads, index)
            written = [a.write(index, x) for a, x in zip(state, projected, strict=False)]
            if not wanted:
                return written
            with self.given(given), compiled_functions.fusing(self.training):
                found = attention.hash(projected[0], heads, self._call(given), cutting.length)
            return [*written, state[-1].write(index, tf.transpose(found, [0, 3, 1, 2]))]

        number = 2 if attention.shared_query_key else 3
        first = source.read(0)
        arrays = [cutting.empty(dtype, [heads.count, attention.key_dim], first) for _ in range(number)]
        if wanted:
            arrays.append(cutting.empty(tf.int32, [heads.count, attention.num_hashes], first))
        vectors = [cutting.join(array) for array in cutting.sweep(body, arrays)]
        if wanted:
            return vectors[:-1], tf.transpose(vectors[-1], [0, 2, 3, 1])
        return vectors, None if buckets is None else of_heads(buckets, heads)

    def _project(self, cutting: Cutting, x: tf.Tensor, given: Given, heads: Heads, index: tf.Tensor) -> list[tf.Tensor]:
        mask = self.options["mask"]
        if mask is not None:
            mask = cutting.piece(cutting.prepared(tf.cast(mask, tf.bool)), index)
        with self.given(given), compiled_functions.fusing(self.training), row_chunks.at_most(cutting.most):
            normal = self.layer.normalization(x)
            return self.attention.project(normal, heads, mask, index * cutting.size)

    def _merge(self, cutting: Cutting, x: tf.Tensor, given: Given, heads: Heads, index: tf.Tensor) -> tf.Tensor:
        """What some heads add to a piece of the target."""
        with self.given(given):
            update = self.attention.merge(x, heads)
        return self.dropped(update, given, index * cutting.size)
