"""Windows, which say what a query attends to in a round. One attention core serves two kinds through this interface.

A window says how rounds are laid out in blocks, which blocks a block of queries looks at (`shifts`), which numbers it
needs of each token (`tags`), and, from the tags of queries and keys, which pairs count (`visible`).
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import tensorflow as tf

from reformer_tf.ops import shapes
from reformer_tf.ops.attention import ordering
from reformer_tf.ops.attention.ordering import SortedOrder
from reformer_tf.ops.execution import index_ranges


class Window(Protocol):
    """The interface of a window.

    Attributes:
        chunk_length: C, the length of a block.
        exclude_self: whether a token sees itself only when it sees nothing else (shared queries and keys).
        wrap: whether the blocks beside the ends of a round are those of neighbouring rounds, all rounds in a circle.
        length_multiple: a round's length is rounded up to a multiple of it.
        shifts: which blocks a block of queries looks at, relative to itself.
        penalises_self: whether a token's pair with itself gets `block.SELF_PENALTY` instead of being left out.
        folds: whether there are two shifts, and a query sees no key up to its own index in the first block, and no key
            after its own index in the second.
    """

    @property
    def chunk_length(self) -> int: ...
    @property
    def exclude_self(self) -> bool: ...
    @property
    def wrap(self) -> bool: ...
    @property
    def length_multiple(self) -> int: ...
    @property
    def shifts(self) -> Sequence[int]: ...
    @property
    def penalises_self(self) -> bool: ...
    @property
    def folds(self) -> bool: ...

    def tags(self, sorted_orders: Sequence[SortedOrder]) -> list[tf.Tensor]:
        """The numbers of each token that `visible` needs, int32 `[N, L]` each; in round r the first r + 1 of them."""

    def visible(self, query_tags: tf.Tensor, key_tags: tf.Tensor) -> tf.Tensor:
        """Tells which pairs count in a round.

        Args:
            query_tags: `[..., Q, T]`, those of `tags` that the round needs, with or without tags of `ordering.NOWHERE`
                before them; all are `ordering.NOWHERE` in slots without a token.
            key_tags: `[..., W, T]`.

        Returns:
            Boolean `[..., Q, W]`.
        """

    def penalised(self, query_tags: tf.Tensor, key_tags: tf.Tensor) -> tf.Tensor | None:
        """Tells which pairs get `block.SELF_PENALTY`, boolean `[..., Q, W]`; None if there are none."""


class BucketWindow(NamedTuple):
    """The token itself and the C - 1 entries before it in its own bucket (and after it, if not causal).

    A pair that meets in several rounds counts in the first of them.

    Attributes:
        chunk_length: C, the reach of the window, at least 1.
        causal: whether a token sees no later token.
        exclude_self: whether a token sees itself only when it sees nothing else.
    """

    chunk_length: int
    causal: bool
    exclude_self: bool

    @property
    def wrap(self) -> bool:
        return False

    @property
    def penalises_self(self) -> bool:
        return False

    @property
    def folds(self) -> bool:
        # Sort keys of two tokens differ by at least as much as their ranks: the window reaches C - 1 ranks back.
        return self.causal and self.chunk_length > 1

    @property
    def length_multiple(self) -> int:
        return self.chunk_length

    @property
    def shifts(self) -> Sequence[int]:
        if self.chunk_length == 1:
            return (0,)
        return (-1, 0) if self.causal else (-1, 0, 1)

    def tags(self, sorted_orders: Sequence[SortedOrder]) -> list[tf.Tensor]:
        return [sorted_order.sort_keys for sorted_order in sorted_orders]

    def visible(self, query_tags: tf.Tensor, key_tags: tf.Tensor) -> tf.Tensor:
        met = self.met(query_tags, key_tags)
        result = met[-1]
        for earlier in met[:-1]:
            result = tf.logical_and(result, tf.logical_not(earlier))
        return self.without_self(result, query_tags[..., -1], key_tags[..., -1])

    def met(
        self, query_sort_keys: tf.Tensor, key_sort_keys: tf.Tensor, masked: bool = True, narrow: bool = False
    ) -> list[tf.Tensor]:
        """Which pairs are near each other in some rounds, see `ordering.near`; with itself, see `without_self`."""
        first = int(self.exclude_self) if self.causal else 1 - self.chunk_length
        return ordering.near(query_sort_keys, key_sort_keys, self.chunk_length, first, masked, narrow)

    def without_self(self, met: tf.Tensor, query_sort_keys: tf.Tensor, key_sort_keys: tf.Tensor) -> tf.Tensor:
        """Leaves out a token's pair with itself, if `exclude_self`.

        Args:
            met: boolean `[..., Q, W]`, the pairs that meet.
            query_sort_keys: `[..., Q]`, of any round.
            key_sort_keys: `[..., W]`, of the same round.
        """
        if self.causal or not self.exclude_self:  # A causal window has none of them then.
            return met
        return tf.logical_and(met, tf.expand_dims(query_sort_keys, -1) != tf.expand_dims(key_sort_keys, -2))

    def penalised(self, query_tags: tf.Tensor, key_tags: tf.Tensor) -> tf.Tensor | None:
        return None


class ChunkWindow(NamedTuple):
    """All tokens of the query's chunk and of chunks beside it, whatever their bucket: the authors' released form.

    A pair counts as often as it meets. With `wrap`, a token's pair with itself is penalised as in the released code,
    because the penalty changes outputs: in float32 a penalty of -1e5 rounds the log-sum-exp of several rounds, which
    scales the output of a token that sees only itself by some tenths of a percent.

    Attributes:
        chunk_length: C, at least 1.
        causal: whether a token sees no later token.
        exclude_self: whether a token sees itself only when it sees nothing else.
        before: chunks before its own that a chunk sees.
        after: chunks after its own that a chunk sees.
        wrap: whether the chunk before a round's first is the last of the round before, all rounds in a circle.
        length_multiple: a multiple of C; a round's length is rounded up to a multiple of it.
    """

    chunk_length: int
    causal: bool
    exclude_self: bool
    before: int
    after: int
    wrap: bool
    length_multiple: int

    @property
    def penalises_self(self) -> bool:
        return self.exclude_self and self.wrap

    @property
    def folds(self) -> bool:
        return False

    @property
    def shifts(self) -> Sequence[int]:
        return range(-self.before, self.after + 1)

    def tags(self, sorted_orders: Sequence[SortedOrder]) -> list[tf.Tensor]:
        sort_keys = sorted_orders[0].sort_keys
        positions = tf.broadcast_to(index_ranges.below(shapes.sizes(sort_keys)[1]), tf.shape(sort_keys))
        return [tf.where(sort_keys != ordering.NOWHERE, positions, ordering.NOWHERE)]

    def visible(self, query_tags: tf.Tensor, key_tags: tf.Tensor) -> tf.Tensor:
        return ordering.allowed_by_position(query_tags[..., 0], key_tags[..., 0], self.causal, self.exclude_self)

    def penalised(self, query_tags: tf.Tensor, key_tags: tf.Tensor) -> tf.Tensor | None:
        if not self.penalises_self:
            return None
        query, key = query_tags[..., :, None, 0], key_tags[..., None, :, 0]
        return tf.logical_and(query == key, key != ordering.NOWHERE)
