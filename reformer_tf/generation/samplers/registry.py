"""Samplers by name."""

from typing import Any

from reformer_tf.generation.samplers.base import Sampler
from reformer_tf.generation.samplers.beam import BeamSearch
from reformer_tf.generation.samplers.greedy import GreedySampler
from reformer_tf.generation.samplers.random import RandomSampler
from reformer_tf.generation.samplers.top_k import TopKSampler
from reformer_tf.generation.samplers.top_p import TopPSampler

SAMPLERS: dict[str, type[Sampler] | type[BeamSearch]] = {
    "beam": BeamSearch,
    "greedy": GreedySampler,
    "random": RandomSampler,
    "top_k": TopKSampler,
    "top_p": TopPSampler,
}


def get(sampler: str | Sampler | BeamSearch, **options: Any) -> Sampler | BeamSearch:
    """Returns a sampler.

    Args:
        sampler: a name in `SAMPLERS`, or a sampler, which is returned as it is.
        **options: arguments of the constructor, only with a name.

    Raises:
        ValueError: if there is no such sampler, or it has no such option.
    """
    if isinstance(sampler, Sampler | BeamSearch):
        if options:
            raise ValueError(f"options must come with the name of a sampler. Received: {options} with {sampler!r}")
        return sampler
    if not isinstance(sampler, str) or sampler not in SAMPLERS:
        raise ValueError(f"sampler must be a Sampler or one of {tuple(SAMPLERS)}. Received: sampler={sampler!r}")
    try:
        return SAMPLERS[sampler](**options)
    except TypeError as error:
        raise ValueError(f"sampler {sampler!r} must have the options given. Received: {options} ({error})") from error
