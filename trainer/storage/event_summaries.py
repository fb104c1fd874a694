"""What the event files of a run hold, in the forms that TensorBoard's plugins read: scalars, text, hyperparameters."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api as hparams
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.plugins.text.summary_v2 import text_pb


def scalars(numbers: Mapping[str, float]) -> Summary:
    """Numbers by name."""
    summary = Summary()
    for name, value in numbers.items():
        summary.value.extend(scalar_pb(name, value).value)
    return summary


def text(name: str, content: str) -> Summary:
    """A text that is shown as it is, line by line: TensorBoard takes text for Markdown, and this is a block of code."""
    return text_pb(name, "\n".join(f"    {line}" for line in _shown(content).splitlines()))


def hyperparameters(config: Mapping[str, Any], name: str, began: float) -> Summary:
    """All fields of a config, to compare runs by.

    Args:
        config: As JSON knows it.
        name: Of the run.
        began: Unix time in seconds of the beginning; 0 if nobody knows.
    """
    return hparams.hparams_pb(dict(_flat(config)), trial_id=_shown(name), start_time_secs=began)


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The fields with their full names; those without a value are left out."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            yield f"{prefix}{key}", json.dumps(value)
        elif value is not None:
            yield f"{prefix}{key}", _shown(value) if isinstance(value, str) else value


def _shown(text: str) -> str:
    """The text as UTF-8 can write it: paths may have bytes that are none."""
    return text.encode("utf-8", errors="replace").decode("utf-8")
