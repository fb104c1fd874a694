"""A draw from the whole distribution."""

from reformer_tf.generation.samplers.base import Sampler


class RandomSampler(Sampler):
    """Draws a token with the probability that the model gives it at the temperature.

    Args:
        temperature: divides the logits; positive.
        repetition_penalty: at least 1, which is none; see `Sampler`.

    Example:
        >>> sampler = RandomSampler(temperature=0.8)
        >>> sampler(logits=[[0.0, 2.0, 1.0]], seed=0, positions=[0]).shape.as_list()
        [1]
    """
