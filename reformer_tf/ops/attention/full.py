"""Exact attention to all tokens."""

import tensorflow as tf

from reformer_tf.ops import shapes
from reformer_tf.ops.attention import ordering
from reformer_tf.ops.attention.dense import AllTokens, dense_attention
from reformer_tf.ops.attention.pair_dropout import PairDropout


def full_attention(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    valid: tf.Tensor | None,
    causal: bool,
    exclude_self: bool,
    segments: tf.Tensor | None = None,
    dropout: PairDropout | None = None,
) -> tf.Tensor:
    """Attends to every visible token.

    Args:
        query: `[B, L, H, D]`, scaled; see `dense_attention`.
        key: `[B, L, H, D]`.
        value: `[B, L, H, D]`.
        valid: boolean `[N, L]`, False for masked tokens, or None.
        causal: whether a token sees no later token.
        exclude_self: whether a token sees itself only when it sees nothing else.
        segments: int32 `[N, L]` or None.
        dropout: of the attention probabilities, or None.

    Returns:
        `[B, L, H, D]`, see `dense_attention`.
    """
    positions = tf.range(shapes.sizes(query)[1])[None]
    if valid is not None:
        positions = tf.where(valid, positions, ordering.NOWHERE)
    pattern = AllTokens(causal, exclude_self, masked=valid is not None)
    return dense_attention(query, key, value, [positions], pattern, segments, dropout)
