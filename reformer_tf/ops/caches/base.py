"""The interface of decoding caches, and the attention of single queries that they share."""

import functools
from typing import NamedTuple, Protocol, TypeAlias

import tensorflow as tf

from reformer_tf.ops import shapes
from reformer_tf.ops.execution import in_place

State: TypeAlias = dict[str, tf.Tensor]


class Vectors(NamedTuple):
    """The vectors and buckets of tokens.

    Attributes:
        query: `[B, l, H, D]`, scaled.
        key: `[B, l, H, D]`.
        value: `[B, l, H, D]`.
        buckets: int32 `[B, H, R, l]` if the attention hashes, else None.
    """

    query: tf.Tensor
    key: tf.Tensor
    value: tf.Tensor
    buckets: tf.Tensor | None


class StepIndices:
    """The positions of the tokens of a decoding step, and indices that all layers derive from them, computed once.

    Args:
        positions: int32 `[B]`.
    """

    def __init__(self, positions: tf.Tensor):
        self.positions = positions
        self._batch = tf.shape(positions)[0]
        self.rows = functools.cache(self._rows)
        self.repeated = functools.cache(self._repeated)

    def _rows(self, number: int) -> tf.Tensor:
        """The indices of `number` sequences in each row, `[B * number]`."""
        return tf.range(self._batch * number)

    def _repeated(self, number: int) -> tf.Tensor:
        """The position of each of these sequences, `[B * number]`."""
        return tf.reshape(tf.broadcast_to(self.positions[:, None], [self._batch, number]), [-1])


class Cache(Protocol):
    """The stored keys and values of the tokens so far, for one kind of causal attention."""

    def fill(self, prompts: Vectors, lengths: tf.Tensor, capacity: shapes.Size) -> State:
        """Makes a state from prompts.

        Args:
            prompts: of L tokens a row; tokens beyond a row's length do not count.
            lengths: int32 `[B]`, 1 to L.
            capacity: S, at least L.
        """

    def step(self, state: State, token: Vectors, indices: StepIndices) -> tuple[tf.Tensor, State]:
        """Adds one token to each row, and attends from it.

        Args:
            state: of the tokens before; written in place.
            token: of one token a row.
            indices: of the tokens; positions are below S.

        Returns:
            `[B, 1, H, D]` and the next state.
        """


def attend(
    query: tf.Tensor, keys: tf.Tensor, values: tf.Tensor, visible: tf.Tensor, own_value: tf.Tensor | None
) -> tf.Tensor:
    """Attends from a single query in each row and head.

    Args:
        query: `[B, 1, H, D]`, scaled.
        keys: `[B, H, W, D]`.
        values: `[B, H, W, D]`.
        visible: boolean, broadcasts to `[B, H, W]`.
        own_value: `[B, 1, H, D]`, the output of queries that see nothing; None if every query sees a key.

    Returns:
        `[B, 1, H, D]` in the dtype of `values`.
    """
    heads, size = values.shape[1], values.shape[3]
    statistics = shapes.statistics_dtype(query.dtype)
    query = tf.reshape(query, [-1, heads, 1, size])
    # Distributing a small batched product among threads takes longer than the product itself (80 against 10 us).
    small = keys.shape[2] is not None
    if small:
        logits = tf.reduce_sum(tf.cast(query, statistics) * tf.cast(keys, statistics), axis=-1)
    else:
        logits = tf.cast(tf.matmul(query, keys, transpose_b=True)[:, :, 0], statistics)
    logits = tf.where(visible, logits, statistics.min)
    weights = tf.exp(logits - tf.reduce_max(logits, axis=-1, keepdims=True))
    weights /= tf.reduce_sum(weights, axis=-1, keepdims=True)
    if small:
        output = tf.reduce_sum(weights[..., None] * tf.cast(values, statistics), axis=2)
    else:
        output = tf.matmul(tf.cast(weights[:, :, None], values.dtype), values)
    output = tf.reshape(tf.cast(output, values.dtype), [-1, 1, heads, size])
    if own_value is None:
        return output
    something = tf.reduce_any(visible, axis=-1)[:, None, :, None]
    return tf.where(something, output, own_value)


def by_head(x: tf.Tensor, capacity: shapes.Size) -> tf.Tensor:
    """Maps `[B, L, H, D]` to `[B, H, S, D]`, zero at positions that have no token yet."""
    length = shapes.sizes(x)[1]
    return tf.transpose(tf.pad(x, [[0, 0], [0, capacity - length], [0, 0], [0, 0]]), [0, 2, 1, 3])


def put(cached: tf.Tensor, vectors: tf.Tensor, rows: tf.Tensor, repeated: tf.Tensor) -> tf.Tensor:
    """Writes one vector into each row and head.

    Args:
        cached: `[B, H, S, D]`; written in place.
        vectors: `[B, 1, H, D]`.
        rows: int32 `[B * H]`, the indices of rows and heads.
        repeated: int32 `[B * H]`, the position in each, below S.

    Returns:
        `[B, H, S, D]`.
    """
    shape, size = tf.shape(cached), cached.shape[-1]
    flat = tf.reshape(cached, [-1, size])
    flat = in_place.set_rows(flat, rows * shape[2] + repeated, tf.reshape(vectors, [-1, size]))
    return tf.ensure_shape(tf.reshape(flat, shape), cached.shape)
