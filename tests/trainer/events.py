"""Event files as TensorBoard reads them."""

import pathlib

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator, TensorEvent
from tensorboard.util import tensor_util


def read(folder: pathlib.Path) -> EventAccumulator:
    """Reads all events of a folder, not of those in it."""
    return EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()


def points(folder: pathlib.Path, tag: str) -> list[tuple[float, int, float]]:
    """The points of a scalar: times, steps and values."""
    events = read(folder).Tensors(tag)
    return [(event.wall_time, event.step, tensor_util.make_ndarray(event.tensor_proto).item()) for event in events]


def text(event: TensorEvent) -> str:
    """The text of an event."""
    return tensor_util.make_ndarray(event.tensor_proto).item().decode("utf-8")
