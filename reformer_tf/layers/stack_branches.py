"""The branches of a reversible stack as pure functions of streams in pieces: the seam between Keras layers and ops.

Any layer can be a branch. What this package's own layers compute is known better: a feed-forward branch goes piece by
piece, an attention branch piece by piece and some heads at a time, so that no tensor of a stream's size is made.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from reformer_tf.layers import arguments
from reformer_tf.layers.attention.base import Call, Heads, SelfAttention
from reformer_tf.layers.feed_forward import ChunkedFeedForward
from reformer_tf.layers.residual_branch import ResidualBranch
from reformer_tf.ops import dropout, fusing, loops, pieces, replay, shapes
from reformer_tf.ops.pieces import Cutting, Pieces
from reformer_tf.ops.reversible import Branch

# Bytes that the queries of those heads may take that are worked on at the same time, if that is more than one head. All
# that is alive beside the streams is some six to ten times as much.
HEADS_BYTES = 64 * 2**20


def pure(layer: keras.layers.Layer, options: dict[str, Any]) -> Branch:
    """A layer `[B, L, M]` to `[B, L, M]` as a branch.

    Args:
        layer: built.
        options: the call arguments `mask`, `segment_ids`, `seed` and `training`.
    """
    if type(layer) is ResidualBranch:
        if type(layer.layer) is ChunkedFeedForward:
            return _PositionWise(layer, options)
        if isinstance(layer.layer, SelfAttention) and type(layer.layer).call is SelfAttention.call:
            return _Attention(layer, options)
    return _Whole(layer, options)


class _Branch:
    """What all branches share. Arguments as `pure` has them."""

    def __init__(self, layer: keras.layers.Layer, options: dict[str, Any]):
        self.layer = layer
        self.options = options
        self.trainable = layer.trainable_variables
        trained = {id(v) for v in self.trainable}
        self.fixed = [(v, tf.convert_to_tensor(v.value)) for v in layer.variables if id(v) not in trained]

    @contextlib.contextmanager
    def given(self, weights: Sequence[tf.Tensor]) -> Iterator[None]:
        """Gives the layer's trainable variables the values `weights`."""
        mapping = [*zip(self.trainable, weights, strict=True), *self.fixed]
        with keras.StatelessScope(state_mapping=mapping) as scope:
            before = [scope.get_current_value(v) for v, _ in mapping]
            yield
            changed = [
                v.path for (v, _), old in zip(mapping, before, strict=True) if scope.get_current_value(v) is not old
            ]
        if changed:
            raise ValueError(
                "A branch of a reversible stack must not change state, because it is computed again in the"
                " backward pass: use LayerNormalization for BatchNormalization and ResidualBranch(dropout=...) for"
                f" Dropout, or reversible=False. Received: {self.layer.name}, which assigns {changed}"
            )

    def dropped(self, update: tf.Tensor, seed: tf.Tensor | None, start: tf.Tensor) -> tf.Tensor:
        """What the dropout of a `ResidualBranch` leaves of a piece that begins at position `start`."""
        layer = self.layer.dropout
        if not self.options["training"] or seed is None:
            return update
        return dropout.dropout(update, layer.rate, seed, layer.seed, start)

    def sums(self, weights: Sequence[tf.Tensor]) -> "_Sums":
        return _Sums(self.layer, weights)


class _Sums:
    """Sums the gradients of weights over pieces, and notes which weights have any."""

    def __init__(self, layer: keras.layers.Layer, weights: Sequence[tf.Tensor]):
        self.layer = layer
        self.weights = weights
        self.met = [False] * len(weights)

    def zeros(self) -> list[tf.Tensor]:
        return [tf.zeros_like(w) for w in self.weights]

    def add(self, totals: Sequence[tf.Tensor], slopes: Sequence[tf.Tensor | None]) -> list[tf.Tensor]:
        self.met = [met or slope is not None for met, slope in zip(self.met, slopes, strict=True)]
        return [t if slope is None else t + slope for t, slope in zip(totals, slopes, strict=True)]

    def checked(self, totals: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        for position, met in enumerate(self.met):
            if not met:
                raise ValueError(
                    "Every trainable weight of a branch must enter its output (freeze it otherwise)."
                    f" Received: branch {self.layer.name}, whose weight {position} does not"
                )
        return list(totals)


class _Whole(_Branch):
    """Any layer: called on the whole of its input."""

    def forward(
        self, cutting: Cutting, source: Pieces, target: Pieces, weights: Sequence[tf.Tensor], seed: tf.Tensor | None
    ) -> tuple[Pieces, list[tf.Tensor]]:
        with replay.recording() as buckets:
            update = self._call(cutting.join(source), weights, seed)
        return _changed_whole(cutting, target, tf.add, update), buckets

    def backward(
        self,
        cutting: Cutting,
        streams: tuple[Pieces, Pieces],
        slopes: tuple[Pieces, Pieces],
        weights: Sequence[tf.Tensor],
        seed: tf.Tensor | None,
        kept: list[tf.Tensor],
    ) -> tuple[Pieces, Pieces, list[tf.Tensor]]:
        x, upstream, sums = cutting.join(streams[0]), cutting.join(slopes[1]), self.sums(weights)
        with tf.GradientTape() as tape, replay.replaying(kept):
            tape.watch([x, *weights])
            update = self._call(x, weights, seed)
        upstream = tf.cast(upstream, update.dtype)
        slope, *own = tape.gradient(update, [x, *weights], output_gradients=upstream)
        d_source = slopes[0] if slope is None else _changed_whole(cutting, slopes[0], tf.add, slope)
        return (
            _changed_whole(cutting, streams[1], tf.subtract, update),
            d_source,
            sums.checked(sums.add(sums.zeros(), own)),
        )

    def _call(self, x: tf.Tensor, weights: Sequence[tf.Tensor], seed: tf.Tensor | None) -> tf.Tensor:
        with self.given(weights):
            output = self.layer(x, **arguments.accepted(self.layer, {**self.options, "seed": seed}))
        if output.shape.rank != x.shape.rank or output.shape[-1] != x.shape[-1]:
            raise ValueError(
                "A branch of a reversible stack must keep the shape of its input."
                f" Received: {self.layer.name}, which maps {x.shape} to {output.shape}"
            )
        return output


class _PositionWise(_Branch):
    """A `ResidualBranch` whose layer treats each token by itself: a piece at a time, computed once going back."""

    def forward(
        self, cutting: Cutting, source: Pieces, target: Pieces, weights: Sequence[tf.Tensor], seed: tf.Tensor | None
    ) -> tuple[Pieces, list[tf.Tensor]]:
        def body(index: tf.Tensor, state: list) -> list:
            update = self._call(cutting, source.read(index), weights, seed, index)
            return [_changed(state[0], index, tf.add, update)]

        return cutting.sweep(body, [target])[0], []

    def backward(
        self,
        cutting: Cutting,
        streams: tuple[Pieces, Pieces],
        slopes: tuple[Pieces, Pieces],
        weights: Sequence[tf.Tensor],
        seed: tf.Tensor | None,
        kept: list[tf.Tensor],
    ) -> tuple[Pieces, Pieces, list[tf.Tensor]]:
        sums = self.sums(weights)

        def body(index: tf.Tensor, state: list) -> list:
            target, d_source, *totals = state
            x, upstream = streams[0].read(index), slopes[1].read(index)
            with tf.GradientTape() as tape:
                tape.watch([x, *weights])
                update = self._call(cutting, x, weights, seed, index)
            slope, *own = tape.gradient(update, [x, *weights], output_gradients=tf.cast(upstream, update.dtype))
            return [
                _changed(target, index, tf.subtract, update),
                _changed(d_source, index, tf.add, slope),
                *sums.add(totals, own),
            ]

        target, d_source, *totals = cutting.sweep(body, [streams[1], slopes[0], *sums.zeros()])
        return target, d_source, sums.checked(totals)

    def _call(
        self, cutting: Cutting, x: tf.Tensor, weights: Sequence[tf.Tensor], seed: tf.Tensor | None, index: tf.Tensor
    ) -> tf.Tensor:
        with self.given(weights), fusing.fusing(bool(self.options["training"])):
            update = self.layer.layer(self.layer.normalization(x), training=self.options["training"])
        return self.dropped(update, seed, index * cutting.size)


class _Attention(_Branch):
    """A `ResidualBranch` around self-attention: projections by pieces, attention of some heads at a time."""

    def __init__(self, layer: keras.layers.Layer, options: dict[str, Any]):
        super().__init__(layer, options)
        self.attention: SelfAttention = layer.layer
        self.training = bool(options["training"])

    def forward(
        self, cutting: Cutting, source: Pieces, target: Pieces, weights: Sequence[tf.Tensor], seed: tf.Tensor | None
    ) -> tuple[Pieces, list[tf.Tensor]]:
        hashes = self.attention.hashes(cutting.length)
        replayed = replay.take() if hashes else None
        groups = _HeadGroups(self.attention, cutting)

        def of_group(group: tf.Tensor, state: list) -> list:
            heads = groups.heads(group)
            vectors, buckets = self._vectors(cutting, source, weights, seed, heads, replayed)
            with self.given(weights):
                output = cutting.prepared(self.attention.attend_heads(vectors, heads, self._context(seed), buckets))

            def add(index: tf.Tensor, state: list) -> list:
                update = self._merge(cutting, cutting.piece(output, index), weights, seed, heads, index)
                return [_changed(state[0], index, tf.add, update)]

            added = cutting.sweep(add, state[:1])
            return added if not hashes else [*added, state[1].write(group, buckets)]

        state = groups.each(of_group, [target, groups.buckets()] if hashes else [target])
        if not hashes:
            return state[0], []
        buckets = groups.joined(state[1])
        replay.record(buckets)
        return state[0], [buckets]

    def backward(
        self,
        cutting: Cutting,
        streams: tuple[Pieces, Pieces],
        slopes: tuple[Pieces, Pieces],
        weights: Sequence[tf.Tensor],
        seed: tf.Tensor | None,
        kept: list[tf.Tensor],
    ) -> tuple[Pieces, Pieces, list[tf.Tensor]]:
        source, d_target = streams[0], slopes[1]
        groups = _HeadGroups(self.attention, cutting)
        sums = self.sums(weights)

        def of_group(group: tf.Tensor, state: list) -> list:
            target, d_source, *totals = state
            heads = groups.heads(group)
            vectors, buckets = self._vectors(cutting, source, weights, seed, heads, kept[0] if kept else None)
            with tf.GradientTape() as tape:
                tape.watch([*vectors, *weights])
                with self.given(weights):
                    output = self.attention.attend_heads(vectors, heads, self._context(seed), buckets)
            padded = cutting.prepared(tf.stop_gradient(output))

            def rebuild(index: tf.Tensor, state: list) -> list:
                target, d_output, *totals = state
                part = cutting.piece(padded, index)
                with tf.GradientTape() as tape:
                    tape.watch([part, *weights])
                    update = self._merge(cutting, part, weights, seed, heads, index)
                upstream = tf.cast(d_target.read(index), update.dtype)
                slope, *own = tape.gradient(update, [part, *weights], output_gradients=upstream)
                return [
                    _changed(target, index, tf.subtract, update),
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
                x = source.read(index)
                with tf.GradientTape() as tape:
                    tape.watch([x, *weights])
                    projected = self._project(cutting, x, weights, heads, index)
                upstream = [cutting.piece(slope, index) for slope in d_vectors]
                slope, *own = tape.gradient(projected, [x, *weights], output_gradients=upstream)
                return [_changed(d_source, index, tf.add, slope), *sums.add(totals, own)]

            return [target, *cutting.sweep(spread, [d_source, *totals])]

        target, d_source, *totals = groups.each(of_group, [streams[1], slopes[0], *sums.zeros()])
        return target, d_source, sums.checked(totals)

    def _context(self, seed: tf.Tensor | None) -> Call:
        random = self.attention.is_random(self.training)
        return Call(self.options["mask"], self.options["segment_ids"], seed if random else None, self.training)

    def _vectors(
        self,
        cutting: Cutting,
        source: Pieces,
        weights: Sequence[tf.Tensor],
        seed: tf.Tensor | None,
        heads: Heads,
        buckets: tf.Tensor | None,
    ) -> tuple[list[tf.Tensor], tf.Tensor | None]:
        """What `SelfAttention.project` gives of some heads, `[B, L, h, D]` each, and their buckets, `[B, h, R, L]`.

        Args:
            cutting: how the streams are cut.
            source: pieces `[B, l, M]`.
            weights: values of the trainable weights.
            seed: int32 seed, or None.
            heads: which.
            buckets: of all heads, int32 `[B, H, R, L]`, if they are known.
        """
        attention = self.attention
        dtype = tf.as_dtype(attention.compute_dtype)
        wanted = attention.hashes(cutting.length) and buckets is None

        def body(index: tf.Tensor, state: list) -> list:
            projected = self._project(cutting, source.read(index), weights, heads, index)
            written = [a.write(index, x) for a, x in zip(state, projected, strict=False)]
            if not wanted:
                return written
            with self.given(weights), fusing.fusing(self.training):
                found = attention.hash(projected[0], heads, self._context(seed), cutting.length)
            return [*written, state[-1].write(index, tf.transpose(found, [0, 3, 1, 2]))]

        number = 2 if attention.shared_query_key else 3
        first = source.read(0)
        arrays = [cutting.empty(dtype, [heads.count, attention.key_dim], first) for _ in range(number)]
        if wanted:
            arrays.append(cutting.empty(tf.int32, [heads.count, attention.num_hashes], first))
        vectors = [cutting.join(array) for array in cutting.sweep(body, arrays)]
        if wanted:
            return vectors[:-1], tf.transpose(vectors[-1], [0, 2, 3, 1])
        if buckets is None:
            return vectors, None
        return vectors, _of_heads(buckets, heads)

    def _project(
        self, cutting: Cutting, x: tf.Tensor, weights: Sequence[tf.Tensor], heads: Heads, index: tf.Tensor
    ) -> list[tf.Tensor]:
        mask = self.options["mask"]
        if mask is not None:
            mask = cutting.piece(cutting.prepared(tf.cast(mask, tf.bool)), index)
        with self.given(weights), fusing.fusing(self.training):
            normal = self.layer.normalization(x)
            return self.attention.project(normal, heads, mask, index * cutting.size)

    def _merge(
        self,
        cutting: Cutting,
        x: tf.Tensor,
        weights: Sequence[tf.Tensor],
        seed: tf.Tensor | None,
        heads: Heads,
        index: tf.Tensor,
    ) -> tf.Tensor:
        """What some heads add to a piece of the target."""
        with self.given(weights):
            update = self.attention.merge(x, heads)
        return self.dropped(update, seed, index * cutting.size)


class _HeadGroups:
    """Groups of heads, as many in each as a memory budget lets work at the same time."""

    def __init__(self, attention: SelfAttention, cutting: Cutting):
        self.cutting = cutting
        self.total = attention.num_heads
        tokens = cutting.batch * cutting.length
        divisors = [n for n in range(1, self.total + 1) if self.total % n == 0]
        if isinstance(tokens, int):
            most = HEADS_BYTES // (4 * max(tokens, 1) * attention.key_dim)
            self.size = max(n for n in divisors if n <= max(most, 1))
        else:
            most = HEADS_BYTES // (4 * attention.key_dim) // tf.maximum(tokens, 1)
            self.size = tf.reduce_max(tf.where(divisors <= most, divisors, 1))
        self.count = self.total // self.size
        self.whole = isinstance(self.count, int) and self.count == 1

    def heads(self, group: tf.Tensor) -> Heads:
        return Heads(0 if self.whole else group * self.size, self.size)

    def each(self, body: Callable[[tf.Tensor, list], list], state: list) -> list:
        """Runs `state = body(group, state)` over the groups."""
        return body(tf.constant(0), state) if self.whole else loops.count_up(self.count, body, state)

    def buckets(self) -> Pieces:
        """Room for the buckets `[B, h, R, L]` of each group."""
        if self.whole:
            return pieces.Single()
        return tf.TensorArray(tf.int32, size=self.count, element_shape=[None] * 4)

    def joined(self, buckets: Pieces) -> tf.Tensor:
        """The buckets of all groups, `[B, H, R, L]`."""
        if self.whole:
            return buckets.read(0)
        stacked = tf.transpose(buckets.stack(), [1, 0, 2, 3, 4])
        batch, _, _, rounds, length = shapes.sizes(stacked)
        return tf.reshape(stacked, [batch, self.total, rounds, length])


def _changed(stream: Pieces, index: tf.Tensor, change: Callable[..., tf.Tensor], by: tf.Tensor) -> Pieces:
    before = stream.read(index)
    return stream.write(index, change(before, tf.cast(by, before.dtype)))


def _changed_whole(cutting: Cutting, stream: Pieces, change: Callable[..., tf.Tensor], by: tf.Tensor) -> Pieces:
    padded = cutting.prepared(by)

    def body(index: tf.Tensor, state: list) -> list:
        return [_changed(state[0], index, change, cutting.piece(padded, index))]

    return cutting.sweep(body, [stream])[0]


def _of_heads(buckets: tf.Tensor, heads: Heads) -> tf.Tensor:
    """Those of `[B, H, R, L]` that are some heads'."""
    batch, _, rounds, length = shapes.sizes(buckets)
    return tf.slice(buckets, tf.stack([0, heads.first, 0, 0]), tf.stack([batch, heads.count, rounds, length]))
