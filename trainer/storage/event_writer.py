"""One event file of TensorBoard, written with the times that its events are of.

`tf.summary` gives each event the time at which it writes it; a file that is written anew would lose when things were.
"""

import itertools
import os
import pathlib
import socket
import time

import tensorflow as tf
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary

_VERSION = "brain.Event:2"
_NUMBERS = itertools.count()


class EventWriter:
    """Writes events to a new file.

    Args:
        folder: Where the file is to be. Made if it is not there.
        began: Unix time in seconds of the first event; None if nobody knows.

    Raises:
        OSError: If the folder cannot be made.
        tf.errors.OpError: If the file cannot be written; here and in the methods.
    """

    def __init__(self, folder: pathlib.Path, began: float | None):
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time():010.0f}.{socket.gethostname()}.{os.getpid()}.{next(_NUMBERS)}"
        self._file = tf.io.TFRecordWriter(str(folder / name))
        self._write(Event(wall_time=began, file_version=_VERSION))

    def write(self, summary: Summary, step: int, wall_time: float | None) -> None:
        """Adds an event.

        Args:
            summary: What is to be shown.
            step: Number of steps done.
            wall_time: Unix time in seconds; None if nobody knows.
        """
        self._write(Event(wall_time=wall_time, step=step, summary=summary))

    def flush(self) -> None:
        """Hands what was written to the operating system."""
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _write(self, event: Event) -> None:
        self._file.write(event.SerializeToString())
