"""A profile of a few steps in the middle of a run, for TensorBoard."""

import pathlib

import tensorflow as tf


class ProfileWindow:
    """Profiles the steps from `start` on.

    Args:
        folder: Folder of the event files of TensorBoard.
        start: First step to profile, counted from 0.
        steps: Number of steps to profile; 0 for none.
    """

    def __init__(self, folder: pathlib.Path, start: int, steps: int):
        self._folder = folder
        self._start = start
        self._end = start + steps
        self._running = False

    def before_step(self, step: int) -> None:
        """Starts or ends the profile.

        Args:
            step: Number of steps done.
        """
        if self._running and step >= self._end:
            self.close()
        elif not self._running and self._start <= step < self._end:
            tf.profiler.experimental.start(str(self._folder))
            self._running = True

    def close(self) -> None:
        """Ends the profile and writes it, if one is running."""
        if self._running:
            tf.profiler.experimental.stop()
            self._running = False
