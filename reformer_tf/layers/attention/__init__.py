"""Kinds of self- and cross-attention: one file a kind, a base for each, one registry with what each kind can do."""

from reformer_tf.layers.attention.base import SelfAttention
from reformer_tf.layers.attention.capabilities import AttentionCapabilities, DecodingCache
from reformer_tf.layers.attention.cross_attention import CrossAttention
from reformer_tf.layers.attention.full import FullSelfAttention
from reformer_tf.layers.attention.full_cross import FullCrossAttention
from reformer_tf.layers.attention.local import LocalSelfAttention
from reformer_tf.layers.attention.lsh import LSHSelfAttention
from reformer_tf.layers.attention.performer import PerformerSelfAttention
from reformer_tf.layers.attention.performer_cross import PerformerCrossAttention
from reformer_tf.layers.attention.registry import ATTENTION_LAYERS, CROSS_ATTENTION_LAYERS

__all__ = [
    "ATTENTION_LAYERS",
    "CROSS_ATTENTION_LAYERS",
    "AttentionCapabilities",
    "CrossAttention",
    "DecodingCache",
    "FullCrossAttention",
    "FullSelfAttention",
    "LSHSelfAttention",
    "LocalSelfAttention",
    "PerformerCrossAttention",
    "PerformerSelfAttention",
    "SelfAttention",
]
