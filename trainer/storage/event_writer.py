"""Writes an event file of TensorBoard with the original times of its events.

`tf.summary` gives each event the time of writing, so a file that is written anew would lose the original times.
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
        folder: Folder of the file. Made if it does not exist.
        began: Unix time of the first event in seconds; None if it is not known.

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
            summary: Summary of the event.
            step: Number of steps done.
            wall_time: Unix time in seconds; None if it is not known.
        """
        self._write(Event(wall_time=wall_time, step=step, summary=summary))

    def flush(self) -> None:
        """Flushes the file."""
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _write(self, event: Event) -> None:
        self._file.write(event.SerializeToString())
