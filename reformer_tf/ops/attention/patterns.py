"""Patterns, which say which of all pairs count: those of all tokens, or those that meet in some window."""

import functools
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import tensorflow as tf

from reformer_tf.ops.attention import ordering
from reformer_tf.ops.attention.windows import BucketWindow
from reformer_tf.ops.execution import loops


class Pattern(Protocol):
    """Which pairs count. It is hashable; its tensors are the tags of tokens, `[N, L, ...]` (or 1 in place of N)."""

    @property
    def exclude_self(self) -> bool:
        """Whether a token sees itself only when it sees nothing else."""

    @property
    def masked(self) -> bool:
        """Whether there are masked tokens."""

    def visible(self, query_tags: Sequence[tf.Tensor], key_tags: Sequence[tf.Tensor]) -> tf.Tensor:
        """Boolean `[N, Q, W]` (or 1 in place of N); False for tokens with `ordering.NOWHERE`."""


class AllTokens(NamedTuple):
    """All tokens, or those up to the query if causal. The only tag is the position.

    Attributes:
        causal: whether a token sees no later token.
        exclude_self: whether a token sees itself only when it sees nothing else.
        masked: whether there are masked tokens.
    """

    causal: bool
    exclude_self: bool
    masked: bool

    def visible(self, query_tags: Sequence[tf.Tensor], key_tags: Sequence[tf.Tensor]) -> tf.Tensor:
        return ordering.allowed_by_position(query_tags[0], key_tags[0], self.causal, self.exclude_self)


class WindowUnion(NamedTuple):
    """The pairs that meet in the bucket windows of some rounds. Tags are `SortedOrder.sort_keys`.

    Each tag is `[N, L, T]`, of T rounds.

    Attributes:
        window: what a token sees in a round.
        masked: whether there are masked tokens.
        narrow: whether 16 bits of the sort keys are enough, see `ordering.fits_16_bits`.
    """

    window: BucketWindow
    masked: bool
    narrow: bool = False

    @property
    def exclude_self(self) -> bool:
        return self.window.exclude_self

    def visible(self, query_tags: Sequence[tf.Tensor], key_tags: Sequence[tf.Tensor]) -> tf.Tensor:
        # XLA fuses these operations into one pass, where narrow numbers save nothing.
        narrow = self.narrow and not loops.in_xla()
        both = zip(query_tags, key_tags, strict=True)
        met = [x for tags in both for x in self.window.met(*tags, self.masked, narrow)]
        union = functools.reduce(tf.logical_or, met)
        return self.window.without_self(union, query_tags[0][..., 0], key_tags[0][..., 0])
