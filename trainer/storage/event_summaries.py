"""Summaries for TensorBoard's plugins: scalars, text and hyperparameters."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api as hparams
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.plugins.text.summary_v2 import text_pb


def scalars(numbers: Mapping[str, float]) -> Summary:
    """Makes a summary of numbers by name."""
    summary = Summary()
    for name, value in numbers.items():
        summary.value.extend(scalar_pb(name, value).value)
    return summary


def text(name: str, content: str) -> Summary:
    """Makes a summary of a text as a block of code, because TensorBoard takes text for Markdown."""
    return text_pb(name, "\n".join(f"    {line}" for line in _shown(content).splitlines()))


def hyperparameters(config: Mapping[str, Any], name: str, began: float) -> Summary:
    """Makes a summary of all fields of a config, by which runs can be compared.

    Args:
        config: Config in JSON types.
        name: Name of the run.
        began: Unix time of its beginning in seconds; 0 if it is not known.
    """
    return hparams.hparams_pb(dict(_flat(config)), trial_id=_shown(name), start_time_secs=began)


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the fields with their full names, except those without a value."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            yield f"{prefix}{key}", json.dumps(value)
        elif value is not None:
            yield f"{prefix}{key}", _shown(value) if isinstance(value, str) else value


def _shown(text: str) -> str:
    """Makes a text encodable as UTF-8: paths may have bytes that are not."""
    return text.encode("utf-8", errors="replace").decode("utf-8")
