"""Reversible residual layers: the stack, and its branches."""

from reformer_tf.layers.reversible.stack import ReversibleStack

__all__ = ["ReversibleStack"]
