"""The stages of a training step by themselves, as functions of the library's own layers and operations.

Inputs are random, weights are those of a new model, and calls are training calls, in which inner functions may be
compiled. A backward function also returns the stage's output, because the reversible stack needs it to rebuild the
stage's input. Stages get all tokens and all heads, except where the stack computes one slice at a time.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from benchmarks.measuring import setting
from reformer_tf.layers import LSHSelfAttention
from reformer_tf.layers.attention.base import Call
from reformer_tf.layers.attention.projections import Heads
from reformer_tf.models import ReformerCausalLM
from reformer_tf.ops import shapes
from reformer_tf.ops.attention import block_group, block_layout, half_precision_group, windowed, windows
from reformer_tf.ops.attention.ordering import SortedOrder
from reformer_tf.ops.execution import compiled_functions, loops
from reformer_tf.ops.execution.sequence_slices import SequenceSlices


class Run(NamedTuple):
    """The functions that measure a stage.

    Attributes:
        forward: a function and its arguments.
        backward: a function that computes the stage again and its gradients, and its arguments. None if the backward
            pass does nothing.
        times: the number of runs that make up the complete stage.
        again: the number of further runs of the forward function in the backward pass.
    """

    forward: tuple[Callable, Sequence[Any]]
    backward: tuple[Callable, Sequence[Any]] | None
    times: float = 1.0
    again: float = 0.0


def runs() -> dict[str, Run]:
    """The runs of the stages of `benchmarks.stages.costs`, at the sizes of `benchmarks.measuring.setting`.

    `merging` is missing: its time is the rest of the attention's time without the other parts.
    """
    model = setting.build_model()
    return {**_around_attention(model), **_attention(model.backbone.get_layer("stack").branches[0].layer)}


def _around_attention(model: ReformerCausalLM) -> dict[str, Run]:
    """The stages outside the attention core."""
    stack = model.backbone.get_layer("stack")
    embedding, positions = (model.backbone.get_layer(name) for name in ("token_embedding", "position_embedding"))
    final_norm = model.backbone.get_layer("final_norm")
    attention_branch, feed_forward_branch = stack.branches[:2]
    norm, layer, feed_forward = attention_branch.normalization, attention_branch.layer, feed_forward_branch.layer
    compute = tf.as_dtype(attention_branch.compute_dtype)
    stream, values, attended = _stream(), tf.cast(_stream(), compute), tf.cast(_vectors(0), compute)
    # Layers would compute each of their chunks twice in the backward pass of more tokens than one chunk, so the stack
    # passes them one chunk at a time.
    slices = SequenceSlices(setting.BATCH.value, setting.LENGTH.value, feed_forward.rows)
    stream_slice, tokens = (slices.take(slices.prepared(x), tf.constant(0)) for x in (stream, values))
    heads = Heads(0, layer.num_heads)
    *inner_kernels, outer_kernel = layer.trainable_variables

    def normalise(x: tf.Tensor) -> list[tf.Tensor]:
        with compiled_functions.compiling_functions(True):
            return [norm(x)]

    def add(stream: tf.Tensor, update: tf.Tensor) -> list[tf.Tensor]:
        return [stream + tf.cast(update, stream.dtype)]

    def take_off(
        stream: tf.Tensor, update: tf.Tensor, gradient: tf.Tensor, gradient_update: tf.Tensor
    ) -> list[tf.Tensor]:
        return [stream - tf.cast(update, stream.dtype), gradient + tf.cast(gradient_update, gradient.dtype)]

    ids = _ids()
    return {
        "embedding": _run(
            lambda ids: [positions(embedding(ids))], [ids], [], [*embedding.weights, *positions.trainable_variables]
        ),
        # In the backward pass the attention branch normalises once to attend again and once for the gradient.
        "layer norm": _run(
            normalise, [stream_slice], [0], norm.trainable_variables, times=2 * slices.count, again=slices.count
        ),
        "projections": _run(lambda x: layer.project(x, heads, None), [values], [0], inner_kernels),
        "output projection": _run(lambda x: [layer.merge(x, heads)], [attended], [0], [outer_kernel]),
        "feed-forward": _run(
            lambda x: [feed_forward(x, training=True)],
            [tokens],
            [0],
            feed_forward.trainable_variables,
            times=slices.count,
        ),
        "residual sums": Run((add, [stream, values]), (take_off, [stream, values, stream, values]), times=2),
        "final norm": _run(lambda x: [final_norm(x)], [stream], [0], final_norm.trainable_variables),
        "head and loss": _run(
            lambda x, targets: [model.head.token_losses(x, targets)], [values, ids], [0], model.head.trainable_variables
        ),
    }


def _attention(layer: LSHSelfAttention) -> dict[str, Run]:
    """The attention core and its parts."""
    query, value, upstream = (tf.cast(_vectors(i), layer.compute_dtype) for i in range(3))
    batch, length, heads, _ = query.shape
    seed = tf.constant([0, 0, 0])

    def hash_queries(query: tf.Tensor, seed: tf.Tensor) -> list[tf.Tensor]:
        return [layer.hash(query, Heads(0, heads), Call(None, None, seed, layer.seed, training=True), length)]

    def sort(buckets: tf.Tensor) -> list[SortedOrder]:
        return list(layer.sorted_orders(batch * heads, length, None, buckets))

    buckets = tf.reshape(hash_queries(query, seed)[0], [batch * heads, -1, length])
    sorted_orders = sort(buckets)
    window = windows.BucketWindow(layer.chunk_length, causal=True, exclude_self=True)

    def attend(query: tf.Tensor, value: tf.Tensor, *flat: tf.Tensor) -> list[tf.Tensor]:
        same = tf.nest.pack_sequence_as(sorted_orders, flat)
        with compiled_functions.compiling_functions(True):
            return [windowed.windowed_attention(query, windowed.normalised, value, same, window)]

    groups = _Groups(query, value, upstream, sorted_orders, window)
    return {
        "hashing": Run((hash_queries, [query, seed]), None),
        "sorting": Run((sort, [buckets]), (sort, [buckets])),
        "attention": _run(attend, [query, value, *tf.nest.flatten(sorted_orders)], [0, 1], []),
        "laying out": groups.laying_out(),
        "blocks": groups.blocks(),
    }


class _Groups:
    """The work of the core on groups of blocks, set up as in `windowed_attention`.

    Args:
        query: `[B, L, H, D]`.
        value: `[B, L, H, D]`.
        upstream: `[B, L, H, D]`.
        sorted_orders: those of the rounds.
        window: a causal window.
    """

    def __init__(
        self,
        query: tf.Tensor,
        value: tf.Tensor,
        upstream: tf.Tensor,
        sorted_orders: Sequence[SortedOrder],
        window: windows.BucketWindow,
    ):
        batch, length, heads, _ = query.shape
        self.window = window
        self.statistics = shapes.statistics_dtype(query.dtype)
        with (
            tf.Graph().as_default(),
            compiled_functions.compiling_functions(True),
        ):  # Nothing is compiled outside a graph.
            self.pays = compiled_functions.worth_compiling(
                batch * heads * length * window.chunk_length * len(window.shifts)
            )
        self.layout = block_layout.Layout(
            batch,
            length,
            heads,
            window.chunk_length,
            window.shifts,
            compiled=self.pays,
            split=query.dtype != self.statistics,
        )
        self.indices = [self.layout.indices([sorted_order]).row for sorted_order in sorted_orders]
        numbers = tf.ones(query.shape[:3], self.statistics)
        tags = shapes.by_position(tf.stack(window.tags(sorted_orders), axis=-1), heads)
        self.seen = [_rows(x) for x in (query, value, tags)]
        self.own = [_rows(x) for x in (numbers, numbers, upstream)]

    def laying_out(self) -> Run:
        """Gathers rows group by group: queries, values and tags; backward, also statistics and gradients of queries."""

        def gather(indices: list, seen: list, own: list) -> list[tf.Tensor]:
            results: list[tf.Tensor] = []
            for index in indices:
                with tf.control_dependencies(results):
                    results += self._gather(index, seen, own)
            return results

        def gather_again(indices: list, seen: list, own: list) -> list[tf.Tensor]:
            first = gather(indices, seen, [])
            with tf.control_dependencies(first):
                return first + gather(indices, seen, own)

        return Run((gather, [self.indices, self.seen, []]), (gather_again, [self.indices, self.seen, self.own]))

    def _gather(self, index: tf.Tensor, seen: list[tf.Tensor], own: list[tf.Tensor]) -> list[tf.Tensor]:
        """Gathers the rows of one group after another and returns those of the last; groups do not need each other."""
        before, group = self.layout.before, self.layout.group
        shape = [before + group, *index.shape[1:]]

        def one(number: tf.Tensor, _: list[tf.Tensor]) -> list[tf.Tensor]:
            indices = tf.slice(index, [number * group, 0, 0], shape)
            return [tf.gather(x, indices) for x in seen] + [tf.gather(x, indices[before:]) for x in own]

        empty = [tf.zeros([*shape, *x.shape[1:]], x.dtype) for x in seen]
        empty += [tf.zeros([group, *shape[1:], *x.shape[1:]], x.dtype) for x in own]
        return loops.count_up(self.layout.groups, one, empty, parallel_iterations=2)

    def blocks(self) -> Run:
        """Computes as many groups of each round as the core computes in parallel; their rows are in the cache."""
        together = min(2, self.layout.groups)
        rounds = [[self._gather(index, self.seen, self.own)] * together for index in self.indices]

        def forward(rounds: list) -> list[tf.Tensor]:
            results: list[tf.Tensor] = []
            for number, some in enumerate(rounds):
                attend = self._function(0, number)
                with tf.control_dependencies(results):
                    for own, seen in map(self._blocks, some):
                        results = results + attend(own[:2], seen, None)
            return results

        def backward(rounds: list, again: list) -> list[tf.Tensor]:
            results = forward(rounds)
            for number, some in enumerate(again):
                attend_back = self._function(1, number)
                with tf.control_dependencies(results):
                    for own, seen in map(self._blocks, some):
                        results = results + attend_back(own, seen, None)
            return results

        return Run((forward, [rounds]), (backward, [rounds, rounds]), times=self.layout.groups / together)

    def _blocks(self, rows: list[tf.Tensor]) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """The queries' own blocks, and all blocks that they attend to."""
        query, value, tags, *own = rows
        first = self.layout.before
        return [query[first:], tags[first:], *own], [query, value, tags]

    def _function(self, direction: int, number: int) -> Callable:
        group = block_group.Group(
            self.layout.neighbors, self.window, number, None, None, self.statistics, key=windowed.normalised
        )
        with compiled_functions.compiling_functions(True):
            return half_precision_group.functions(group, self.pays, self.seen[0].dtype)[direction]


def _run(
    function: Callable, inputs: list, moving: list[int], weights: Sequence[Any], times: float = 1.0, again: float = 0.0
) -> Run:
    """A stage whose gradient is that of `function` with respect to the inputs `moving` and to `weights`."""
    upstream = [_like(x) for x in function(*inputs)]

    def backward(upstream: list[tf.Tensor], *inputs: tf.Tensor) -> list[tf.Tensor]:
        return _with_gradients(function, inputs, [inputs[i] for i in moving], weights, upstream)

    return Run((function, inputs), (backward, [upstream, *inputs]), times, again)


def _with_gradients(
    function: Callable, inputs: Sequence[tf.Tensor], moving: Sequence, weights: Sequence, upstream: list[tf.Tensor]
) -> list[tf.Tensor]:
    """The outputs of `function`, and the gradients of some inputs and of weights."""
    with tf.GradientTape() as tape:
        tape.watch(moving)
        outputs = function(*inputs)
    gradients = tape.gradient(outputs, [*moving, *(w.value for w in weights)], output_gradients=upstream)
    return [*outputs, *(tf.convert_to_tensor(g) for g in gradients)]


def _stream() -> tf.Tensor:
    """Random float32 `[B, L, M]`."""
    return tf.random.stateless_normal([setting.BATCH.value, setting.LENGTH.value, setting.WIDTH.value], [0, 0])


def _vectors(number: int) -> tf.Tensor:
    """Random float32 `[B, L, H, D]`."""
    heads = setting.HEADS.value
    shape = [setting.BATCH.value, setting.LENGTH.value, heads, setting.WIDTH.value // heads]
    return tf.random.stateless_normal(shape, [1, number])


def _rows(x: tf.Tensor) -> tf.Tensor:
    """`[B, L, H, ...]` to `[B * L * H, ...]`."""
    return tf.reshape(x, [-1, *x.shape[3:]])


def _ids() -> tf.Tensor:
    shape = [setting.BATCH.value, setting.LENGTH.value]
    return tf.random.stateless_uniform(shape, [2, 0], 0, setting.VOCABULARY_SIZE, tf.int32)


def _like(x: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.random.stateless_normal(x.shape, [3, 0]), x.dtype)
