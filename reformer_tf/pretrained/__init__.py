"""Loads weights of other implementations into the models of this package."""

from reformer_tf.pretrained.huggingface import from_huggingface
from reformer_tf.pretrained.trax import from_trax

__all__ = ["from_huggingface", "from_trax"]
