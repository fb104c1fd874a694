"""Keras layers of the Reformer."""

from reformer_tf.layers.attention import (
    FullCrossAttention,
    FullSelfAttention,
    LocalSelfAttention,
    LSHSelfAttention,
    PerformerCrossAttention,
    PerformerSelfAttention,
)
from reformer_tf.layers.feed_forward import ChunkedFeedForward
from reformer_tf.layers.normalization import ChunkedLayerNormalization
from reformer_tf.layers.positions import (
    AxialPositionEmbedding,
    LearnedPositionEmbedding,
    SinusoidalPositionEmbedding,
)
from reformer_tf.layers.residual_branch import ResidualBranch
from reformer_tf.layers.reversible import ReversibleStack

__all__ = [
    "AxialPositionEmbedding",
    "ChunkedFeedForward",
    "ChunkedLayerNormalization",
    "FullCrossAttention",
    "FullSelfAttention",
    "LSHSelfAttention",
    "LearnedPositionEmbedding",
    "LocalSelfAttention",
    "PerformerCrossAttention",
    "PerformerSelfAttention",
    "ResidualBranch",
    "ReversibleStack",
    "SinusoidalPositionEmbedding",
]
