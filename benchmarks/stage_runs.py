"""Each stage of a training step alone, as functions of the library's own layers and operations.

Inputs are random, weights those of a model just built. A backward function gives the stage's output too, as the
reversible stack needs it to rebuild the stage's input.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from benchmarks import setting
from reformer_tf.layers import LSHSelfAttention
from reformer_tf.ops import attention, blocks, chunking, hashing, ordering, shapes, windows
from reformer_tf.ops.ordering import Order

# The logits of the blocks that are measured together: what stays in a cache of some tens of MiB.
_LOGIT_BYTES = 4 * 2**20


class Run(NamedTuple):
    """How a stage is measured.

    Attributes:
        forward: a function and its arguments.
        backward: likewise: the stage once more, and its gradients. None if there is nothing to do.
        times: how often they must run for the whole stage.
    """

    forward: tuple[Callable, Sequence[Any]]
    backward: tuple[Callable, Sequence[Any]] | None
    times: float = 1.0


def runs() -> dict[str, Run]:
    """How the stages of `benchmarks.stage_costs` are measured, at the sizes of `benchmarks.setting`.

    `merging` is missing: it is what the attention takes beside its other parts.
    """
    return {**_around_attention(), **_attention()}


class _Probe(LSHSelfAttention):
    """The projections of LSH attention alone: what it would attend to is kept, and `attended` is what it saw."""

    attended: tf.Tensor
    projected: list[tf.Tensor]

    def attend(self, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, **_: Any) -> tf.Tensor:
        self.projected = [query, key, value]
        return self.attended


def _around_attention() -> dict[str, Run]:
    """The stages outside the attention core."""
    model = setting.build_model()
    stack = model.backbone.get_layer("stack")
    embedding, positions = (model.backbone.get_layer(name) for name in ("token_embedding", "position_embedding"))
    final_norm = model.backbone.get_layer("final_norm")
    attention_branch, feed_forward_branch = stack.branches[:2]
    norm, feed_forward = attention_branch.normalization, feed_forward_branch.layer
    compute = tf.as_dtype(attention_branch.compute_dtype)
    stream, values, heads = _stream(), tf.cast(_stream(), compute), tf.cast(_per_head(0), compute)
    probe = _Probe.from_config({**attention_branch.layer.get_config(), "name": "probe"})
    probe.attended = heads
    probe.build(values.shape)
    *inner_kernels, outer_kernel = probe.trainable_variables

    def project(x: tf.Tensor) -> list[tf.Tensor]:
        probe.attended = heads
        probe(x)
        return probe.projected

    def project_back(attended: tf.Tensor) -> list[tf.Tensor]:
        probe.attended = attended
        return [probe(values)]

    def feed_forward_gradient(x: tf.Tensor, upstream: tf.Tensor) -> list[tf.Tensor]:
        # As in a reversible stack, which knows the gradient of the output before it computes the layer again.
        with chunking.known_gradient(upstream):
            return _with_gradients(lambda x: [feed_forward(x)], [x], [x], feed_forward.trainable_variables, [upstream])

    def add(stream: tf.Tensor, update: tf.Tensor) -> list[tf.Tensor]:
        return [stream + tf.cast(update, stream.dtype)]

    def take_off(stream: tf.Tensor, update: tf.Tensor, slope: tf.Tensor, slope_update: tf.Tensor) -> list[tf.Tensor]:
        return [stream - tf.cast(update, stream.dtype), slope + tf.cast(slope_update, slope.dtype)]

    ids = _ids()
    return {
        "embedding": _run(
            lambda ids: [positions(embedding(ids))], [ids], [], [*embedding.weights, *positions.trainable_variables]
        ),
        "layer norm": _run(lambda x: [norm(x)], [stream], [0], norm.trainable_variables, times=2),
        "projections": _run(project, [values], [0], inner_kernels),
        "output projection": _run(project_back, [heads], [0], [outer_kernel]),
        "feed-forward": Run((lambda x: [feed_forward(x)], [values]), (feed_forward_gradient, [values, _like(values)])),
        "residual sums": Run((add, [stream, values]), (take_off, [stream, values, stream, values]), times=2),
        "final norm": _run(lambda x: [final_norm(x)], [stream], [0], final_norm.trainable_variables),
        "head and loss": _run(
            lambda x, targets: [model.head.token_losses(x, targets)], [values, ids], [0], model.head.trainable_variables
        ),
    }


def _attention() -> dict[str, Run]:
    """The attention core and its parts."""
    compute = tf.keras.mixed_precision.Policy(setting.PRECISION.value).compute_dtype
    vectors = [tf.cast(_per_head(i), compute) for i in range(7)]
    size, chunk, length = vectors[0].shape[-1], setting.CHUNK_LENGTH.value, setting.LENGTH.value
    factors = hashing.default_num_buckets(length, chunk)
    columns = hashing.rotation_columns(factors)
    rotations = tf.constant(
        hashing.stored_rotations(0, setting.HEADS.value, size, setting.NUM_HASHES.value, columns), tf.float32
    )
    by_head = tf.reshape(vectors[0], [setting.BATCH.value, setting.HEADS.value, length, size])
    num_buckets = 1
    for factor in factors:
        num_buckets *= factor

    def hash_queries(query: tf.Tensor, rotations: tf.Tensor) -> list[tf.Tensor]:
        return [hashing.hash_vectors(query, rotations, factors)]

    def sort(buckets: tf.Tensor) -> list[Order]:
        return [ordering.hash_order(buckets[:, i], None, num_buckets, chunk) for i in range(buckets.shape[1])]

    buckets = tf.reshape(hash_queries(by_head, rotations)[0], [-1, setting.NUM_HASHES.value, length])
    orders = sort(buckets)
    if setting.LOCAL_ROUND.value:
        orders = [ordering.local_order(vectors[0].shape[0], length, None), *orders]
    window = windows.BucketWindow(chunk, causal=True, exclude_self=True)

    def attend(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, *flat: tf.Tensor) -> list[tf.Tensor]:
        return [attention.windowed_attention(query, key, value, tf.nest.pack_sequence_as(orders, flat), window)]

    return {
        "hashing": Run((hash_queries, [by_head, rotations]), None),
        "sorting": Run((sort, [buckets]), (sort, [buckets])),
        "attention": _run(attend, [*vectors[:3], *tf.nest.flatten(orders)], [0, 1, 2], []),
        "laying out": _laying_out(vectors, orders),
        "blocks": _blocks(vectors, orders, window),
    }


def _laying_out(vectors: Sequence[tf.Tensor], orders: Sequence[Order]) -> Run:
    """Gathers of three vectors a round; back, of three and, in the gradient, of four and of two numbers a token."""
    places = [_places(order) for order in orders]
    numbers = [tf.cast(x[..., 0], tf.float32) for x in vectors[:2]]

    def gather(places: Sequence[tf.Tensor], *sources: tf.Tensor) -> list[tf.Tensor]:
        return [tf.gather(tf.reshape(x, [-1, *x.shape[2:]]), place) for place in places for x in sources]

    return Run((gather, [places, *vectors[:3]]), (gather, [places, *vectors, *numbers]))


def _blocks(vectors: Sequence[tf.Tensor], orders: Sequence[Order], window: windows.BucketWindow) -> Run:
    """Groups of blocks that fit a cache; each round has inputs of its own, so that nothing is computed only once."""
    chunk = setting.CHUNK_LENGTH.value
    number = shapes.ceil_div(setting.LENGTH.value, chunk)
    group = min(number, max(1, _LOGIT_BYTES // (4 * vectors[0].shape[0] * 2 * chunk * chunk)))
    us = tf.stack([order.u for order in orders], axis=-1)
    rounds = []
    for order in orders:
        *laid_out, tags = (tf.gather(tf.reshape(x, [-1, x.shape[-1]]), _places(order)) for x in (*vectors[:4], us))
        in_window = [tf.concat([tf.roll(x, 1, axis=0), x], axis=2)[:group] for x in (*laid_out[1:3], tags)]
        numbers = tf.ones(tags.shape[:-1])[:group]
        rounds.append([laid_out[0][:group], *in_window[:2], tags[:group], in_window[2], numbers, laid_out[3][:group]])

    def pairs(index: int, query_tags: tf.Tensor, key_tags: tf.Tensor) -> blocks.Pairs:
        return blocks.Pairs(window.visible(index, query_tags, key_tags))

    def forward(rounds: list) -> list[tf.Tensor]:
        results: list[tf.Tensor] = []
        for index, (query, key, value, query_tags, key_tags, *_) in enumerate(rounds):
            with tf.control_dependencies(results):
                results += blocks.attend(query, key, value, pairs(index, query_tags, key_tags))
        return results

    def backward(rounds: list, again: list) -> list[tf.Tensor]:
        results = forward(rounds)
        for index, (query, key, value, query_tags, key_tags, numbers, upstream) in enumerate(again):
            with tf.control_dependencies(results):
                seen = pairs(index, query_tags, key_tags)
                results += blocks.attend_gradient(query, key, value, seen, numbers, numbers, upstream)
        return results

    return Run((forward, [rounds]), (backward, [rounds, rounds]), times=number / group)


def _places(order: Order) -> tf.Tensor:
    """The flat index of the token at each place of the blocks, `[K, N, C]`; the last block repeats a token."""
    chunk, (count, length) = setting.CHUNK_LENGTH.value, order.tokens.shape
    flat = order.tokens + tf.range(count)[:, None] * length
    flat = tf.concat([flat, tf.repeat(flat[:, :1], -length % chunk, axis=1)], axis=1)
    return tf.transpose(tf.reshape(flat, [count, -1, chunk]), [1, 0, 2])


def _run(function: Callable, inputs: list, moving: list[int], weights: Sequence[Any], times: float = 1.0) -> Run:
    """A stage whose gradient is that of `function`, with regard to the inputs `moving` and to `weights`."""
    upstream = [_like(x) for x in function(*inputs)]

    def backward(upstream: list[tf.Tensor], *inputs: tf.Tensor) -> list[tf.Tensor]:
        return _with_gradients(function, inputs, [inputs[i] for i in moving], weights, upstream)

    return Run((function, inputs), (backward, [upstream, *inputs]), times)


def _with_gradients(
    function: Callable, inputs: Sequence[tf.Tensor], moving: Sequence, weights: Sequence, upstream: list[tf.Tensor]
) -> list[tf.Tensor]:
    """What `function` gives, and the gradients of some inputs and of weights."""
    with tf.GradientTape() as tape:
        tape.watch(moving)
        outputs = function(*inputs)
    gradients = tape.gradient(outputs, [*moving, *(w.value for w in weights)], output_gradients=upstream)
    return [*outputs, *(tf.convert_to_tensor(g) for g in gradients)]


def _stream() -> tf.Tensor:
    """Random float32 `[B, L, M]`."""
    return tf.random.stateless_normal([setting.BATCH.value, setting.LENGTH.value, setting.WIDTH.value], [0, 0])


def _per_head(number: int) -> tf.Tensor:
    """Random float32 `[N, L, D]`."""
    heads = setting.HEADS.value
    shape = [setting.BATCH.value * heads, setting.LENGTH.value, setting.WIDTH.value // heads]
    return tf.random.stateless_normal(shape, [1, number])


def _ids() -> tf.Tensor:
    shape = [setting.BATCH.value, setting.LENGTH.value]
    return tf.random.stateless_uniform(shape, [2, 0], 0, setting.VOCABULARY_SIZE, tf.int32)


def _like(x: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.random.stateless_normal(x.shape, [3, 0]), x.dtype)
