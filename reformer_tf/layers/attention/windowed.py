"""The base class of attention in windows: the two kinds of windows, and their arguments."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from reformer_tf.layers import arguments
from reformer_tf.layers.attention.base import SelfAttention
from reformer_tf.layers.attention.chunk_arguments import ChunkArguments
from reformer_tf.ops import shapes
from reformer_tf.ops.attention import all_pairs, ordering, windowed
from reformer_tf.ops.attention.ordering import SortedOrder
from reformer_tf.ops.attention.pair_dropout import PairDropout
from reformer_tf.ops.attention.patterns import WindowUnion
from reformer_tf.ops.attention.windows import BucketWindow, ChunkWindow

WINDOWS = ("bucket", "chunk")


class WindowedSelfAttention(SelfAttention):
    """Base of the kinds that attend within windows of sorted orders. A kind implements `sorted_orders`.

    Args:
        num_heads: H, the number of heads.
        key_dim: D, the size of queries, keys and values in each head.
        chunk_length: C, the length of a chunk and the reach of a bucket window.
        window: `"bucket"`, a window of C entries that slides within a bucket; or `"chunk"`, whole chunks across
            buckets, as in the authors' released code.
        chunks: arguments of `"chunk"`. They are attributes and in the config, each by itself.
        **kwargs: see `SelfAttention`.

    Raises:
        ValueError: for an unknown window, sizes out of range, or arguments of `"chunk"` with another window.
    """

    fixed = SelfAttention.fixed | {"chunk_length", "window", *ChunkArguments._fields}

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        chunk_length: int,
        window: str,
        chunks: ChunkArguments,
        **kwargs: Any,
    ):
        super().__init__(num_heads, key_dim, **kwargs)
        self.chunk_length = arguments.positive_integer("chunk_length", chunk_length)
        self.window = arguments.choice("window", window, WINDOWS)
        self._chunk_arguments = chunks._asdict()
        completed = chunks.completed(self.window, self.chunk_length)
        self.chunks_before, self.chunks_after, self.wrap, self.length_multiple, self.exact_length = completed

    def sorted_orders(
        self, count: shapes.Size, length: shapes.Size, valid: tf.Tensor | None, buckets: tf.Tensor | None
    ) -> Sequence[SortedOrder]:
        """Computes the sorted order of each round.

        Args:
            count: N.
            length: L.
            valid: as in `attend`.
            buckets: as in `attend`.
        """
        raise NotImplementedError

    def sort_keys(self, length: shapes.Size, valid: tf.Tensor | None, buckets: tf.Tensor | None) -> Sequence[tf.Tensor]:
        """`SortedOrder.sort_keys` of all rounds, in tensors `[N, L, T]` of T rounds each (or 1 in place of N).

        Arguments as in `sorted_orders`.
        """
        raise NotImplementedError

    @property
    def rounds(self) -> int:
        """The number of rounds, including the local round."""
        raise NotImplementedError

    @property
    def most_buckets(self) -> int:
        """The most buckets that a round may have; 1 if rounds have no buckets."""
        return 1

    def attend(
        self,
        query: tf.Tensor,
        key: tf.Tensor | None,
        value: tf.Tensor,
        *,
        valid: tf.Tensor | None,
        segments: tf.Tensor | None,
        dropout: PairDropout | None,
        buckets: tf.Tensor | None,
    ) -> tf.Tensor:
        batch, length, heads, _ = shapes.sizes(query)
        bucket_window = BucketWindow(self.chunk_length, self.causal, self.shared_query_key)
        window = bucket_window if self.window == "bucket" else self._chunk_window()

        def made_keys() -> tf.Tensor:
            return windowed.normalised(query) if key is None else key

        def densely() -> tf.Tensor:
            narrow = ordering.fits_16_bits(length, self.most_buckets, self.chunk_length)
            union = WindowUnion(bucket_window, valid is not None, narrow)
            sort_keys = self.sort_keys(length, valid, buckets)
            return all_pairs.all_pairs_attention(query, made_keys(), value, sort_keys, union, segments, dropout)

        def exact() -> tf.Tensor:
            return all_pairs.full_attention(
                query, made_keys(), value, valid, self.causal, self.shared_query_key, segments, dropout
            )

        def in_windows() -> tf.Tensor:
            keys = windowed.normalised if key is None else key
            sorted_orders = self.sorted_orders(batch * heads, length, valid, buckets)
            return windowed.windowed_attention(query, keys, value, sorted_orders, window, segments, dropout)

        if self.window == "bucket":
            on_short, is_short = densely, all_pairs.is_cheaper(length, bucket_window, self.rounds)
        else:
            on_short, is_short = exact, self.is_exact(length)
            # A sequence that fits in one chunk of each round is exact in any case, up to the rounding of a penalty,
            # because all pairs meet equally often.
            one_chunk = self.exact_length <= self.chunk_length == self.length_multiple and not window.penalises_self
            if is_short is not True and one_chunk:
                is_short = False
        if isinstance(is_short, bool):
            return on_short() if is_short else in_windows()
        return tf.cond(is_short, on_short, in_windows)

    def _chunk_window(self) -> ChunkWindow:
        return ChunkWindow(
            self.chunk_length,
            self.causal,
            self.shared_query_key,
            self.chunks_before,
            self.chunks_after,
            self.wrap,
            self.length_multiple,
        )

    def is_exact(self, length: shapes.Size) -> Any:
        """Whether sequences of this length get exact attention; a scalar tensor if the length is one."""
        return length <= self.exact_length if self.window == "chunk" else False

    @property
    def strictly_causal(self) -> bool:
        return self.causal and self.window == "bucket"

    @property
    def ignores_padding(self) -> bool:
        return self.window == "bucket" or self.strictly_causal

    def padded_length(self, length: shapes.Size) -> shapes.Size:
        """The length of a round of `window="chunk"`."""
        return shapes.ceil_div(length, self.length_multiple) * self.length_multiple

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "chunk_length": self.chunk_length,
            "window": self.window,
            **self._chunk_arguments,
        }
