"""The sampler that a command line asks for."""

import inspect
from collections.abc import Mapping
from typing import Any

from reformer_tf.generation import samplers

TEMPERATURE = 0.8
"""Where a sampler has one and none is given."""


def make_sampler(name: str, settings: Mapping[str, Any]) -> samplers.Sampler | samplers.BeamSearch:
    """Makes one of the library's samplers.

    Args:
        name: Its name there.
        settings: The settings that were given.

    Raises:
        ValueError: If there is no such sampler, it has no such setting, or a setting is out of range.
    """
    if name not in samplers.SAMPLERS:
        raise ValueError(f"`sampler` must be one of {', '.join(samplers.SAMPLERS)}. Received: {name!r}")
    known = inspect.signature(samplers.SAMPLERS[name]).parameters
    for setting, value in settings.items():
        if setting not in known:
            raise ValueError(
                f"`{setting}` must not be given with the sampler {name!r}, whose settings are {', '.join(known)}. "
                f"Received: {value!r}"
            )
    default = {"temperature": TEMPERATURE} if "temperature" in known else {}
    return samplers.get(name, **{**default, **settings})


def draws(sampler: samplers.Sampler | samplers.BeamSearch) -> bool:
    """Whether another seed gives another text."""
    return "temperature" in sampler.get_config()
