"""A draw from the likeliest tokens that together have some probability."""

from typing import Any

import tensorflow as tf

from reformer_tf.generation.samplers import filters
from reformer_tf.generation.samplers.base import Sampler
from reformer_tf.layers import arguments


class TopPSampler(Sampler):
    """Draws from the smallest set of likeliest tokens whose probability is at least p (Holtzman et al., 2020).

    Args:
        p: above 0, at most 1, which is all tokens.
        temperature: divides the logits, before the set is made; positive.
        repetition_penalty: at least 1, which is none; see `Sampler`.

    Example:
        >>> TopPSampler(p=0.5)(logits=[[0.0, 2.0, 1.0]], seed=0, positions=[0]).numpy().tolist()
        [1]
    """

    def __init__(self, p: float = 0.9, temperature: float = 1.0, repetition_penalty: float = 1.0):
        super().__init__(temperature, repetition_penalty)
        if not (arguments.is_number(p) and 0 < p <= 1):
            raise ValueError(f"p must be above 0 and at most 1. Received: p={p!r}")
        self.p = float(p)

    def narrow(self, logits: tf.Tensor) -> tf.Tensor:
        return filters.top_p(logits, self.p)

    def get_config(self) -> dict[str, Any]:
        return {"p": self.p, **super().get_config()}
