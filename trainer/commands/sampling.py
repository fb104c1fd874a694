"""Makes the sampler that a command line names."""

import inspect
from collections.abc import Mapping
from typing import Any

from reformer_tf.generation import samplers

TEMPERATURE = 0.8
"""Default temperature of samplers that have one."""


def make_sampler(name: str, settings: Mapping[str, Any]) -> samplers.Sampler | samplers.BeamSearch:
    """Makes one of the library's samplers.

    Args:
        name: Name in `samplers.SAMPLERS`.
        settings: Settings by name; the others take their defaults.

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
