"""A reference for attention within windows, with no blocks, no sorting back and no hand-written gradient.

For each query, the positions of the entries in its windows are listed, their keys and values are gathered, and one
softmax is taken. Nothing of `reformer_tf.ops` is used; the buckets are an input. Heads, and slices of the queries, are
computed one after another to bound the memory; the gradient of each slice is TensorFlow's own.

Shape letters: N rows and heads, L sequence length, D size of a head, R rounds, C chunk length, S queries of a slice,
W entries of a query.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

# The most numbers in a gathered slice of keys, [S, W, D].
_BUDGET = 2**25
_SELF_PENALTY = 1e5
_NEVER = -1e30


class Entries(NamedTuple):
    """The entries that the queries of one head see.

    Attributes:
        indices: int32 `[L, W]`, positions in the sequence.
        seen: boolean `[L, W]`, whether the entry counts.
    """

    indices: np.ndarray
    seen: np.ndarray


def bucket_entries(buckets: np.ndarray, chunk_length: int) -> Entries:
    """The entries of causal bucket windows: the query itself, and entries less than C before it in its bucket.

    Args:
        buckets: integers `[R, L]`, the rounds of one head; a local round is one of equal buckets.
        chunk_length: C.

    Returns:
        `R * C` entries a query. A pair counts in the first round in whose window it meets.
    """
    queues = np.stack([_queue_positions(row) for row in buckets])  # [R, L]
    indices, seen = [], []
    for index, row in enumerate(buckets):
        sorted_order = np.argsort(row, kind="stable")
        ranks = np.arange(len(row))[:, None] - np.arange(chunk_length)
        found = np.empty(ranks.shape, np.int32)
        found[sorted_order] = sorted_order[np.maximum(ranks, 0)]
        met = np.empty(ranks.shape, bool)
        met[sorted_order] = np.arange(chunk_length) <= queues[index][sorted_order][:, None]
        for earlier in range(index):
            same = buckets[earlier][:, None] == buckets[earlier][found]
            distance = queues[earlier][:, None] - queues[earlier][found]
            met &= ~(same & (distance >= 0) & (distance < chunk_length))
        indices.append(found)
        seen.append(met)
    return Entries(np.concatenate(indices, axis=1), np.concatenate(seen, axis=1))


def chunk_entries(buckets: np.ndarray, chunk_length: int) -> Entries:
    """The entries of causal chunk windows: in each round's sorted order, the query's chunk and the chunk before it.

    Args:
        buckets: integers `[R, L]`.
        chunk_length: C.

    Returns:
        `2 * R * C` entries a query. A pair counts as often as it meets.
    """
    length = buckets.shape[1]
    positions = np.arange(length)
    indices, seen = [], []
    for row in buckets:
        sorted_order = np.argsort(row, kind="stable")
        ranks = (positions // chunk_length - 1)[:, None] * chunk_length + np.arange(2 * chunk_length)
        inside = (ranks >= 0) & (ranks < length)
        found = np.empty(ranks.shape, np.int32)
        found[sorted_order] = sorted_order[np.clip(ranks, 0, length - 1)]
        met = np.empty(ranks.shape, bool)
        met[sorted_order] = inside
        indices.append(found)
        seen.append(met & (found <= positions[:, None]))
    return Entries(np.concatenate(indices, axis=1), np.concatenate(seen, axis=1))


ENTRIES: dict[str, Callable[[np.ndarray, int], Entries]] = {"bucket": bucket_entries, "chunk": chunk_entries}
"""The functions that list entries, by the name of the window."""


def attend(
    query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, heads: Sequence[Entries], exclude_self: bool
) -> tf.Tensor:
    """Attends to the listed entries.

    Args:
        query: `[N, L, D]`, scaled.
        key: `[N, L, D]`.
        value: `[N, L, D]`.
        heads: the entries of each of the N heads, the queries themselves included.
        exclude_self: whether a token attends to itself only when it sees nothing else.

    Returns:
        `[N, L, D]` in the dtype of `value`. Only for eager mode.
    """
    length, size = query.shape[1:]
    rows = max(1, _BUDGET // (heads[0].indices.shape[1] * size))
    slices = [slice(start, start + rows) for start in range(0, length, rows)]

    @tf.custom_gradient
    def run(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor) -> tuple[tf.Tensor, Callable[..., Any]]:
        vectors = [tf.stop_gradient(x) for x in (query, key, value)]

        def one(head: int, part: slice, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
            return _slice(query, key, value, heads[head], part, exclude_self)

        outputs = []
        for head, (q, k, v) in enumerate(zip(*vectors, strict=True)):
            outputs.append(tf.concat([one(head, part, q[part], k, v) for part in slices], axis=0))

        def gradient(upstream: tf.Tensor) -> list[tf.Tensor]:
            gradients: list[list[tf.Tensor]] = [[], [], []]
            for head, (q, k, v, above) in enumerate(zip(*vectors, upstream, strict=True)):
                statistics = tf.float32 if q.dtype.size < 4 else q.dtype
                d_query, d_key, d_value = [], tf.zeros(k.shape, statistics), tf.zeros(v.shape, statistics)
                for part in slices:
                    own = q[part]
                    with tf.GradientTape() as tape:
                        tape.watch([own, k, v])
                        output = one(head, part, own, k, v)
                    found = tape.gradient(output, [own, k, v], output_gradients=above[part])
                    d_query.append(found[0])
                    d_key += tf.cast(tf.convert_to_tensor(found[1]), statistics)
                    d_value += tf.cast(tf.convert_to_tensor(found[2]), statistics)
                for total, gradient in zip(gradients, [tf.concat(d_query, axis=0), d_key, d_value], strict=True):
                    total.append(tf.cast(gradient, q.dtype))
            return [tf.stack(total) for total in gradients]

        return tf.stack(outputs), gradient

    return run(query, key, value)


def _slice(
    query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, entries: Entries, part: slice, exclude_self: bool
) -> tf.Tensor:
    """Attention of the queries `[S, D]` of one slice to the keys and values `[L, D]` of their head."""
    indices, seen = entries.indices[part], entries.seen[part]
    logits = tf.einsum("sd,swd->sw", query, tf.gather(key, indices))
    if logits.dtype.size < 4:
        logits = tf.cast(logits, tf.float32)
    if exclude_self:
        own = indices == np.arange(part.start, part.start + len(indices))[:, None]
        logits -= tf.cast(own, logits.dtype) * _SELF_PENALTY
    p = tf.nn.softmax(tf.where(seen, logits, tf.cast(_NEVER, logits.dtype)))
    return tf.einsum("sw,swd->sd", tf.cast(p, value.dtype), tf.gather(value, indices))


def _queue_positions(buckets: np.ndarray) -> np.ndarray:
    """The number of tokens of the same bucket before each token, `[L]`."""
    sorted_order = np.argsort(buckets, kind="stable")
    ordered = buckets[sorted_order]
    first = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    starts = np.maximum.accumulate(np.where(first, np.arange(len(buckets)), 0))
    queue = np.empty(len(buckets), np.int64)
    queue[sorted_order] = np.arange(len(buckets)) - starts
    return queue
