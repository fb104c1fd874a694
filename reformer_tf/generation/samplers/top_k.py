"""A draw from the likeliest tokens."""

from typing import Any

import tensorflow as tf

from reformer_tf.generation.samplers import filters
from reformer_tf.generation.samplers.base import Sampler
from reformer_tf.layers import arguments


class TopKSampler(Sampler):
    """Draws from the k likeliest tokens (Fan et al., 2018, section 5.4).

    Args:
        k: how many tokens; positive. From the size of the vocabulary on, all of them.
        temperature: divides the logits; positive.
        repetition_penalty: at least 1, which is none; see `Sampler`.

    Example:
        >>> TopKSampler(k=1)(logits=[[0.0, 2.0, 1.0]], seed=0, positions=[0]).numpy().tolist()
        [1]
    """

    def __init__(self, k: int = 40, temperature: float = 1.0, repetition_penalty: float = 1.0):
        super().__init__(temperature, repetition_penalty)
        self.k = arguments.positive_integer("k", k)

    def narrow(self, logits: tf.Tensor) -> tf.Tensor:
        return filters.top_k(logits, self.k)

    def get_config(self) -> dict[str, Any]:
        return {"k": self.k, **super().get_config()}
