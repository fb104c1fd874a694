"""Attention within the buckets of a locality-sensitive hash."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from reformer_tf.layers import arguments
from reformer_tf.layers.attention.base import SelfAttention
from reformer_tf.ops import attention, hashing, ordering, replay, shapes
from reformer_tf.ops.pair_dropout import PairDropout


@keras.saving.register_keras_serializable("reformer_tf")
class LSHSelfAttention(SelfAttention):
    """Self-attention to tokens that hash into the same bucket: O(L log L) time, O(L) memory.

    Queries and keys are shared. Each of `num_hashes` rounds hashes the queries by random rotations and sorts tokens by
    (bucket, position); a token sees the `chunk_length - 1` tokens before it in its own bucket (and, if not causal, as
    many after it). Rounds are merged exactly, each pair counted once. What a token sees never depends on later tokens
    (if causal), on padding, or on where boundaries of chunks fall.

    Args:
        num_heads: H, the number of heads. Each head hashes by itself.
        key_dim: D, the size of queries, keys and values in each head.
        chunk_length: C, the reach of a window.
        num_hashes: R, the number of hash rounds.
        num_buckets: even number of buckets, or a list of even factors of it; by default about
            `2 * max_sequence_length / chunk_length`. Fixed when the layer is made, so that a growing sequence does not
            change what came before.
        max_sequence_length: the length that the default of `num_buckets` is for; 4,096 if None.
        causal: whether a token sees no later token.
        window: `"bucket"`, as above.
        local_round: whether a round ordered by position alone comes before the hash rounds. Sequences up to
            `chunk_length` are then exact, and early tokens see their neighbours.
        dropout: share of the attention probabilities to drop in training, in [0, 1).
        redraw_rotations: whether training draws new rotations at every call, as the paper does. Inference always uses
            the stored ones.
        use_bias: whether projections have biases.
        rotary: whether queries and keys are rotated by their positions, before they are hashed.
        kernel_initializer: of the projections.
        seed: integer from which the stored rotations are drawn and which tells this layer's randomness from others'.
        **kwargs: see `keras.layers.Layer`.

    Raises:
        ValueError: for sizes that are not positive, odd bucket counts, or an unknown window.

    Example:
        >>> layer = LSHSelfAttention(num_heads=2, key_dim=16, causal=True)
        >>> layer(np.random.normal(size=(1, 1000, 32))).shape
        TensorShape([1, 1000, 32])

    References:
        Kitaev, Kaiser, Levskaya, 2020, Reformer: The Efficient Transformer, section 2.
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        chunk_length: int = 64,
        num_hashes: int = 4,
        num_buckets: int | Sequence[int] | None = None,
        max_sequence_length: int | None = None,
        causal: bool = False,
        window: str = "bucket",
        local_round: bool = True,
        dropout: float = 0.0,
        redraw_rotations: bool = True,
        use_bias: bool = False,
        rotary: bool = False,
        kernel_initializer: Any = "glorot_uniform",
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(
            num_heads,
            key_dim,
            causal=causal,
            shared_query_key=True,
            dropout=dropout,
            use_bias=use_bias,
            rotary=rotary,
            kernel_initializer=kernel_initializer,
            seed=seed,
            **kwargs,
        )
        self.chunk_length = arguments.positive_integer("chunk_length", chunk_length)
        self.num_hashes = arguments.positive_integer("num_hashes", num_hashes)
        self.max_sequence_length = max_sequence_length
        if max_sequence_length is not None:
            arguments.positive_integer("max_sequence_length", max_sequence_length)
        self.num_buckets = num_buckets
        if num_buckets is None:
            self._factors = hashing.default_num_buckets(max_sequence_length, chunk_length)
        else:
            self._factors = hashing.bucket_factors(num_buckets)
        if window != "bucket":
            raise ValueError(f'window must be "bucket". Received: window={window!r}')
        self.window = window
        self.local_round = local_round
        self.redraw_rotations = redraw_rotations
        ordering.check_range(max_sequence_length or 1, int(np.prod(self._factors)), chunk_length)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        super().build(input_shape)
        shape = self._rotation_shape()
        self._rotations = self.add_weight(
            (shape[0], shape[1], shape[2], shape[3]),
            initializer=lambda _, dtype: tf.cast(hashing.stored_rotations(self.seed, *shape), dtype),
            trainable=False,
            autocast=False,  # a hash in half precision would have many ties
            dtype="float32",
            name="rotations",
        )

    def attend(
        self,
        query: tf.Tensor,
        key: tf.Tensor,
        value: tf.Tensor,
        *,
        valid: tf.Tensor | None,
        segments: tf.Tensor | None,
        dropout: PairDropout | None,
        seed: tf.Tensor | None,
        training: bool,
    ) -> tf.Tensor:
        count, length, _ = shapes.sizes(query)
        num_buckets = int(np.prod(self._factors))
        ordering.check_range(length, num_buckets, self.chunk_length)
        buckets = replay.buckets(lambda: self._hash(query, length, seed, training))
        buckets = tf.reshape(buckets, [count, self.num_hashes, length])
        orders = [ordering.local_order(count, length, valid)] if self.local_round else []
        orders += [
            ordering.hash_order(buckets[:, index], valid, num_buckets, self.chunk_length)
            for index in range(self.num_hashes)
        ]
        window = attention.Window(self.chunk_length, self.causal, exclude_self=True)
        return attention.windowed_attention(query, key, value, orders, window, segments, dropout)

    def is_random(self, training: bool | None) -> bool:
        return bool(training) and (self.dropout > 0 or self.redraw_rotations)

    def _hash(self, query: tf.Tensor, length: shapes.Size, seed: tf.Tensor | None, training: bool) -> tf.Tensor:
        """Buckets, int32 `[B, H, R, L]`."""
        if training and self.redraw_rotations:
            rotations = hashing.drawn_rotations(seed, self.seed, *self._rotation_shape())
        else:
            rotations = tf.convert_to_tensor(self._rotations)
        query = tf.reshape(query, [-1, self.num_heads, length, self.key_dim])
        return hashing.hash_vectors(query, rotations, self._factors)

    def _rotation_shape(self) -> tuple[int, int, int, int]:
        columns = hashing.rotation_columns(self._factors)
        return self.num_heads, self.key_dim, self.num_hashes, columns

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["shared_query_key"]
        return {
            **config,
            "chunk_length": self.chunk_length,
            "num_hashes": self.num_hashes,
            "num_buckets": self.num_buckets,
            "max_sequence_length": self.max_sequence_length,
            "window": self.window,
            "local_round": self.local_round,
            "redraw_rotations": self.redraw_rotations,
        }
