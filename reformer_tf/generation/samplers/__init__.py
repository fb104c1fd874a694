"""Ways to choose the next token: small objects, by name in a registry.

Every sampler maps logits `[B, V]` to ids `[B]` only with TensorFlow operations, so that it works inside an exported
program. The token drawn for a row is a function of its logits, its seed and its position: other rows, their order and
padding do not matter. To continue a prompt in several ways, give each row its own seed.
"""

from reformer_tf.generation.samplers.base import Sampler
from reformer_tf.generation.samplers.beam import BeamSearch
from reformer_tf.generation.samplers.greedy import GreedySampler
from reformer_tf.generation.samplers.random import RandomSampler
from reformer_tf.generation.samplers.registry import SAMPLERS, get
from reformer_tf.generation.samplers.top_k import TopKSampler
from reformer_tf.generation.samplers.top_p import TopPSampler

__all__ = ["SAMPLERS", "BeamSearch", "GreedySampler", "RandomSampler", "Sampler", "TopKSampler", "TopPSampler", "get"]
