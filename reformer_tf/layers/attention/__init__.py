"""Kinds of self-attention: one file a kind, one base, one registry with what each kind can do."""

from reformer_tf.layers.attention.base import SelfAttention
from reformer_tf.layers.attention.capabilities import AttentionCapabilities, DecodingCache
from reformer_tf.layers.attention.full import FullSelfAttention
from reformer_tf.layers.attention.local import LocalSelfAttention
from reformer_tf.layers.attention.lsh import LSHSelfAttention
from reformer_tf.layers.attention.performer import PerformerSelfAttention
from reformer_tf.layers.attention.registry import ATTENTION_LAYERS

__all__ = [
    "ATTENTION_LAYERS",
    "AttentionCapabilities",
    "DecodingCache",
    "FullSelfAttention",
    "LSHSelfAttention",
    "LocalSelfAttention",
    "PerformerSelfAttention",
    "SelfAttention",
]
