"""The likeliest token."""

from typing import Any

import tensorflow as tf

from reformer_tf.generation.samplers.base import Sampler


class GreedySampler(Sampler):
    """Takes the likeliest token of each row; of equal ones the smallest id.

    Args:
        repetition_penalty: at least 1, which is none; see `Sampler`.

    Example:
        >>> GreedySampler()(logits=[[0.0, 2.0, 1.0]], seed=0, positions=[0]).numpy().tolist()
        [1]
    """

    def __init__(self, repetition_penalty: float = 1.0):
        super().__init__(repetition_penalty=repetition_penalty)

    def choose(self, logits: tf.Tensor, seed: Any, positions: Any) -> tf.Tensor:
        return tf.argmax(logits, axis=-1, output_type=tf.int32)

    def get_config(self) -> dict[str, Any]:
        return {"repetition_penalty": self.repetition_penalty}
