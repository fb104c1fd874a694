"""Keras layers of the Reformer."""

from reformer_tf.layers.attention import FullSelfAttention, LocalSelfAttention, LSHSelfAttention

__all__ = ["FullSelfAttention", "LSHSelfAttention", "LocalSelfAttention"]
