"""Attention within the buckets of a locality-sensitive hash."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from reformer_tf.layers import arguments
from reformer_tf.layers.attention.base import Call
from reformer_tf.layers.attention.capabilities import AttentionCapabilities, DecodingCache
from reformer_tf.layers.attention.chunk_arguments import ChunkArguments
from reformer_tf.layers.attention.projections import Heads
from reformer_tf.layers.attention.windowed import WindowedSelfAttention
from reformer_tf.ops import bucket_counts, hashing, id_ranges, shapes
from reformer_tf.ops.attention import ordering
from reformer_tf.ops.attention.ordering import SortedOrder
from reformer_tf.ops.caches import BucketWindowsCache, Cache


@keras.saving.register_keras_serializable("reformer_tf")
class LSHSelfAttention(WindowedSelfAttention):
    """Self-attention to tokens that hash into the same bucket: O(L log L) time, O(L) memory.

    Queries and keys are shared. Each of `num_hashes` rounds hashes the queries by random rotations and sorts tokens by
    (bucket, position); a token sees the `chunk_length - 1` tokens before it in its own bucket (and, if not causal, as
    many after it). Rounds are merged exactly, each pair counted once. The tokens that a token sees never depend on
    later tokens (if causal), on padding, or on where boundaries of blocks fall.

    Args:
        num_heads: H, the number of heads. Each head hashes by itself.
        key_dim: D, the size of queries, keys and values in each head.
        chunk_length: C, the reach of a window.
        num_hashes: R, the number of hash rounds.
        num_buckets: even number of buckets, or a list of even factors of it; by default about
            `2 * max_sequence_length / chunk_length`. Fixed when the layer is made, so that a growing sequence does not
            change earlier outputs; only with `window="chunk"` does the default follow the length of each call.
        max_sequence_length: the length that the default of `num_buckets` is for; 4,096 if None.
        causal: whether a token sees no later token.
        window: `"bucket"`, as above; or `"chunk"`, the form of the authors' released code, for weights trained with it:
            a chunk of C tokens in the sorted order of a round sees itself and whole chunks beside it, whatever the
            buckets, and a pair counts as often as it meets. The tokens that a token sees then depend on later tokens.
        chunks_before: chunks that a chunk sees before itself; 1 if None. This and the next four are only for `"chunk"`.
        chunks_after: chunks that a chunk sees after itself; 0 if None.
        wrap: whether the chunk before a round's first is the last of the round before, all rounds in a circle, as in
            the released code; False if None.
        length_multiple: a multiple of C; chunks are counted as if the length were a multiple of it. C if None.
        exact_length: sequences up to this length get exact attention to all tokens; C if None.
        local_round: whether a round sorted only by position comes before the hash rounds; by default it does, except
            with `window="chunk"`, which has none. Sequences up to `chunk_length` are then exact, and early tokens see
            their neighbours.
        dropout: fraction of the attention probabilities to drop in training, in [0, 1).
        redraw_rotations: whether training draws new rotations at every call, as the paper does. Inference always uses
            the stored ones.
        use_bias: whether projections have biases.
        rotary: whether queries and keys are rotated by their positions, before they are hashed.
        kernel_initializer: of the projections.
        seed: integer from which the stored rotations are drawn and which tells this layer's randomness from others'.
        **kwargs: see `keras.layers.Layer`, and `LowRankAdapted` for `lora_rank`, `lora_alpha` and `lora_kernels`.

    Raises:
        ValueError: for sizes that are not positive, odd bucket counts, or an unknown window.

    Example:
        >>> layer = LSHSelfAttention(num_heads=2, key_dim=16, causal=True)
        >>> layer(np.random.normal(size=(1, 1000, 32))).shape
        TensorShape([1, 1000, 32])

    References:
        Kitaev, Kaiser, Levskaya, 2020, Reformer: The Efficient Transformer, section 2.
    """

    capabilities = AttentionCapabilities(
        causal=True,
        bidirectional=True,
        segments="equal",
        pair_dropout=True,
        shared_query_key=True,
        rotary=True,
        decoding_cache=DecodingCache(
            state="all keys and values, and the latest C positions of each bucket", time_grows=False, state_grows=True
        ),
        cross_attention=False,
        model_arguments={
            "chunk_length": "chunk_length",
            "num_hashes": "num_hashes",
            "num_buckets": "num_buckets",
            "max_sequence_length": "max_sequence_length",
            "local_round": "local_round",
            "redraw_rotations": "redraw_rotations",
            "kernel_initializer": "kernel_initializer",
        },
    )
    fixed = WindowedSelfAttention.fixed | {"num_hashes", "num_buckets", "max_sequence_length"}

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
        chunks_before: int | None = None,
        chunks_after: int | None = None,
        wrap: bool | None = None,
        length_multiple: int | None = None,
        exact_length: int | None = None,
        local_round: bool | None = None,
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
            chunk_length,
            window,
            ChunkArguments(chunks_before, chunks_after, wrap, length_multiple, exact_length),
            causal=causal,
            shared_query_key=True,
            dropout=dropout,
            use_bias=use_bias,
            rotary=rotary,
            kernel_initializer=kernel_initializer,
            seed=seed,
            **kwargs,
        )
        self.num_hashes = arguments.positive_integer("num_hashes", num_hashes)
        self.max_sequence_length = arguments.optional(
            arguments.positive_integer, "max_sequence_length", max_sequence_length
        )
        self.num_buckets = arguments.plain(num_buckets)
        # The factors of the bucket count, or None if it follows the length.
        self._factors: tuple[int, ...] | None = None
        if num_buckets is not None:
            self._factors = bucket_counts.bucket_factors(num_buckets)
        elif window == "bucket":
            self._factors = bucket_counts.default_num_buckets(max_sequence_length, self.chunk_length)
        if local_round is not None:
            arguments.boolean("local_round", local_round)
        if local_round and window == "chunk":
            raise ValueError(f'local_round must not be True with window="chunk". Received: local_round={local_round}')
        self.local_round = window == "bucket" if local_round is None else local_round
        self.redraw_rotations = arguments.boolean("redraw_rotations", redraw_rotations)
        ordering.check_range(max_sequence_length or 1, self.most_buckets, self.chunk_length)

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

    def sorted_orders(
        self, count: shapes.Size, length: shapes.Size, valid: tf.Tensor | None, buckets: tf.Tensor | None
    ) -> Sequence[SortedOrder]:
        num_buckets = self.most_buckets
        sorted_orders = [ordering.local_sorted_order(count, length, valid)] if self.local_round else []
        return sorted_orders + ordering.hash_sorted_orders(buckets, valid, num_buckets, self.chunk_length)

    def sort_keys(self, length: shapes.Size, valid: tf.Tensor | None, buckets: tf.Tensor | None) -> Sequence[tf.Tensor]:
        local = [ordering.local_sort_keys(length, valid)] if self.local_round else []
        return [*local, ordering.hash_sort_keys(buckets, valid, self.most_buckets, self.chunk_length)]

    @property
    def rounds(self) -> int:
        return self.num_hashes + int(self.local_round)

    def attend(self, query: tf.Tensor, key: tf.Tensor | None, value: tf.Tensor, **options: Any) -> tf.Tensor:
        length = shapes.sizes(query)[1]
        ordering.check_range(length, self.most_buckets, self.chunk_length)
        fits = self._fits(length)
        result = super().attend(query, key, value, **options)
        return result if fits is True else result + tf.cast(id_ranges.nan_unless(fits), result.dtype)

    def is_random(self, training: bool | None) -> bool:
        return bool(training) and (self.dropout > 0 or self.redraw_rotations)

    def hashes(self, length: shapes.Size) -> bool:
        return self.is_exact(length) is not True

    def cache(self) -> Cache | None:
        if not self.causal or self.window != "bucket":
            return None
        return BucketWindowsCache(self.chunk_length, self.most_buckets, self.local_round)

    def hash(self, query: tf.Tensor, heads: Heads, call: Call, length: shapes.Size) -> tf.Tensor:
        if call.training and self.redraw_rotations:
            rotations = hashing.drawn_rotations(call.seed, call.layer_seed, *self._rotation_shape())
        else:
            rotations = tf.convert_to_tensor(self._rotations)
        rotations = self._select_heads(rotations, heads, axis=0)
        factors = self._factors or self._length_factors(length)
        return hashing.hash_vectors(tf.transpose(query, [0, 2, 1, 3]), rotations, factors)

    def _length_factors(self, length: shapes.Size) -> Sequence[shapes.Size]:
        """The factors of a bucket count that follows the length."""
        self._fits(length)
        padded = self.padded_length(length)
        return bucket_counts.length_num_buckets(padded, self.chunk_length, self._longest)

    def _fits(self, length: shapes.Size) -> Any:
        """Whether the stored rotations are enough for the length; see `id_ranges.at_most`."""
        if self._factors is not None:
            return True
        longest = self.padded_length(self._longest)
        rule = f'inputs must be at most {longest} tokens long where window="chunk" and num_buckets follows the length.'
        return id_ranges.at_most(longest, length, rule)

    @property
    def _longest(self) -> int:
        return self.max_sequence_length or bucket_counts.DEFAULT_LENGTH

    @property
    def most_buckets(self) -> int:
        factors = self._factors or (2 * (self.padded_length(self._longest) // self.chunk_length),)
        return int(np.prod(factors))

    def _rotation_shape(self) -> tuple[int, int, int, int]:
        if self._factors is None:
            columns = bucket_counts.most_columns(self.chunk_length, self.padded_length(self._longest), self._longest)
        else:
            columns = bucket_counts.rotation_columns(self._factors)
        return self.num_heads, self.key_dim, self.num_hashes, columns

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["shared_query_key"]
        return {
            **config,
            "num_hashes": self.num_hashes,
            "num_buckets": self.num_buckets,
            "max_sequence_length": self.max_sequence_length,
            "local_round": self.local_round,
            "redraw_rotations": self.redraw_rotations,
        }
