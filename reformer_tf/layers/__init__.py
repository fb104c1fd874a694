"""Keras layers of the Reformer."""

from reformer_tf.layers.attention import FullSelfAttention, LocalSelfAttention, LSHSelfAttention, PerformerSelfAttention
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
    "FullSelfAttention",
    "LSHSelfAttention",
    "LearnedPositionEmbedding",
    "LocalSelfAttention",
    "PerformerSelfAttention",
    "ResidualBranch",
    "ReversibleStack",
    "SinusoidalPositionEmbedding",
]
