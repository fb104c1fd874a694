"""What all caches do, and the attention of single queries that they end in."""

from typing import NamedTuple, Protocol, TypeAlias

import tensorflow as tf

from reformer_tf.ops import in_place, shapes

State: TypeAlias = dict[str, tf.Tensor]


class Vectors(NamedTuple):
    """What attention computed of tokens.

    Attributes:
        query: `[B, l, H, D]`, scaled.
        key: `[B, l, H, D]`.
        value: `[B, l, H, D]`.
        buckets: int32 `[B, H, R, l]`, of kinds that hash, else None.
    """

    query: tf.Tensor
    key: tf.Tensor
    value: tf.Tensor
    buckets: tf.Tensor | None


class Cache(Protocol):
    """What one kind of causal attention keeps of the tokens so far."""

    def fill(self, prompts: Vectors, lengths: tf.Tensor, room: shapes.Size) -> State:
        """Keeps what later tokens will need of prompts.

        Args:
            prompts: of L tokens a row, of which those beyond its length do not count.
            lengths: int32 `[B]`, 1 to L.
            room: S, at least L.
        """

    def step(self, state: State, token: Vectors, positions: tf.Tensor) -> tuple[tf.Tensor, State]:
        """Takes in one token a row, and attends from it.

        Args:
            state: of the tokens before; used up.
            token: of one token a row.
            positions: int32 `[B]`, below S.

        Returns:
            `[B, 1, H, D]` and the next state.
        """


def attend(
    query: tf.Tensor, keys: tf.Tensor, values: tf.Tensor, visible: tf.Tensor, alone: tf.Tensor | None
) -> tf.Tensor:
    """Attention of a single query in each row and head.

    Args:
        query: `[B, 1, H, D]`, scaled.
        keys: `[B, H, W, D]`.
        values: `[B, H, W, D]`.
        visible: boolean, broadcasts to `[B, H, 1, W]`.
        alone: `[B, 1, H, D]`, what a query gets that sees nothing; None if each sees something.

    Returns:
        `[B, 1, H, D]` in the dtype of `values`.
    """
    statistics = shapes.statistics_dtype(query.dtype)
    logits = tf.cast(tf.matmul(one_for_each_head(query), keys, transpose_b=True), statistics)
    weights = tf.nn.softmax(tf.where(visible, logits, logits.dtype.min))
    output = tf.transpose(tf.matmul(tf.cast(weights, values.dtype), values), [0, 2, 1, 3])
    if alone is None:
        return output
    something = tf.transpose(tf.reduce_any(visible, axis=-1, keepdims=True), [0, 2, 1, 3])
    return tf.where(something, output, alone)


def one_for_each_head(x: tf.Tensor) -> tf.Tensor:
    """`[B, 1, H, D]` to `[B, H, 1, D]`."""
    batch, _, heads, size = shapes.sizes(x)
    return tf.reshape(x, [batch, heads, 1, size])


def by_head(x: tf.Tensor, room: shapes.Size) -> tf.Tensor:
    """`[B, L, H, D]` to `[B, H, S, D]`, zero in places that are not taken yet."""
    length = shapes.sizes(x)[1]
    return tf.transpose(tf.pad(x, [[0, 0], [0, room - length], [0, 0], [0, 0]]), [0, 2, 1, 3])


def put(cached: tf.Tensor, vectors: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """Writes one vector into each row and head.

    Args:
        cached: `[B, H, S, D]`; used up.
        vectors: `[B, 1, H, D]`.
        places: int32 `[B]`, below S.

    Returns:
        `[B, H, S, D]`.
    """
    batch, heads, room, size = shapes.sizes(cached)
    rows = tf.reshape(tf.range(batch * heads) * room + tf.repeat(places, heads), [-1])
    flat = in_place.set_rows(tf.reshape(cached, [-1, size]), rows, tf.reshape(vectors, [-1, size]))
    return tf.ensure_shape(tf.reshape(flat, [batch, heads, room, size]), cached.shape)
