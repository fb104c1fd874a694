"""Metrics of what a model generates in an evaluation: computed once, by the chief of the processes."""

import time
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from trainer import exits
from trainer.data.example_set import ExampleSet
from trainer.distribution.process_group import ProcessGroup
from trainer.tasks import Task

_SAID_EVERY = 10.0  # Seconds between two lines of progress.


class GeneratedMetrics:
    """Generates outputs for some examples of an evaluation, outside of the strategy that trains.

    What is generated token by token is no sum that replicas could share, so one process generates on one device. With
    several replicas or processes, or variables of other machines, it does so with a copy of the model.

    Args:
        task: Says what is generated and which metrics follow.
        model: A model of the task, in the scope of the strategy.
        strategy: The strategy.
        examples: The examples, of `Task.generated_examples`.
        batch_size: Number of examples to generate for at once.
        group: The processes that evaluate together; None for a single one.

    Attributes:
        number: Number of examples.
    """

    def __init__(
        self,
        task: Task,
        model: keras.Model,
        strategy: tf.distribute.Strategy,
        examples: ExampleSet,
        batch_size: int,
        group: ProcessGroup | None = None,
    ):
        self._task = task
        self._model = model
        self._examples = examples
        self.number = len(examples)
        self._batch_size = batch_size
        self._group = group
        self._needs_copy = not _is_local(strategy)
        self._copy: keras.Model | None = None

    def run(self, stop_requested: Callable[[], bool] = lambda: False) -> dict[str, float]:
        """Computes the metrics with the current weights. All processes must call it, and get those of the chief.

        Args:
            stop_requested: Called before each batch of the chief; once it is true, the work ends in all processes.

        Raises:
            exits.Stopped: If a stop was requested.
        """
        group = self._group
        numbers = self._compute(stop_requested) if group is None or group.is_chief else None
        numbers = numbers if group is None else group.broadcast(numbers)
        if numbers is None:
            raise exits.Stopped
        return numbers

    def _compute(self, stop_requested: Callable[[], bool]) -> dict[str, float] | None:
        """Returns the metrics, and None after a stop request, which the other processes must hear of."""
        said = time.monotonic()

        def progress(done: int) -> None:
            nonlocal said
            if stop_requested():
                raise _StopRequestedError
            if time.monotonic() - said > _SAID_EVERY:
                said = time.monotonic()
                print(f"  generated for {done} of {self.number} examples", flush=True)

        try:
            numbers, told = self._task.generated_metrics(
                self._plain_model(), self._examples, self._batch_size, progress
            )
        except _StopRequestedError:
            return None
        if told:
            print(f"  {told}", flush=True)
        return numbers

    def _plain_model(self) -> keras.Model:
        if not self._needs_copy:
            return self._model
        if self._copy is None:
            self._copy = type(self._model).from_config(self._model.get_config())
        self._copy.set_weights(self._model.get_weights())
        return self._copy


class _StopRequestedError(Exception):
    """Raised between two batches. A signal raises `exits.Stopped` instead, where it may."""


def _is_local(strategy: Any) -> bool:
    """Whether the variables of a strategy are plain ones of one device of this process."""
    remote = isinstance(strategy, tf.distribute.TPUStrategy | tf.distribute.ParameterServerStrategy)
    return not remote and strategy.num_replicas_in_sync == 1
