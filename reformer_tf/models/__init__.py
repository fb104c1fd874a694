"""Models, assembled functionally from the layers."""

from reformer_tf.models.backbone import ReformerBackbone
from reformer_tf.models.causal_lm import ReformerCausalLM

__all__ = ["ReformerBackbone", "ReformerCausalLM"]
