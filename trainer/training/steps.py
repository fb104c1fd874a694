"""The training steps of a run: each takes the next batch; several are in flight where workers need not wait."""

import collections
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.data import datasets
from trainer.data.sharding import Shard
from trainer.training.run import Run


class Steps:
    """Starts the steps of a run in sequence and returns their results in the same sequence.

    With one step in flight, a step begins when the previous one is done. With more (`config.train.outstanding_steps`),
    a step may read weights that earlier steps have not updated yet (Recht et al., 2011).

    Args:
        run: The run, at the step to go on from.

    Attributes:
        started: Number of steps started so far, those of earlier starts of the run included.
    """

    def __init__(self, run: Run):
        self.started = run.step
        self._run = run
        self._batches = batches(run)
        self._in_flight: collections.deque[Callable[[], Any]] = collections.deque()
        run.retained.append(self._batches)

    def next(self, start_more: bool = True) -> Any:
        """Waits for the oldest step in flight.

        Args:
            start_more: Whether to start as many steps as allowed before: up to the next checkpoint or evaluation, which
                needs the state after exactly so many steps. Otherwise one must be in flight.

        Returns:
            The `StepResult` of the oldest step.
        """
        last = _next_due(self._run) if start_more else self.started
        while self.started < last and len(self._in_flight) < self._run.config.train.outstanding_steps:
            self._in_flight.append(self.start())
        return self._in_flight.popleft()()

    def start(self) -> Callable[[], Any]:
        """Starts the next step on the next batch, and returns a function that waits for its result."""
        run = self._run
        batch = next(self._batches)
        seed = tf.constant([run.config.train.seed, self.started], tf.int32)
        scale = run.skipped.loss_scale and tf.constant(run.skipped.loss_scale.value)
        self.started += 1
        return run.dispatch.start(run.train_step.__call__, batch, seed, scale)


def batches(run: Run) -> Iterator[Any]:
    """Returns an infinite iterator over the batches of the next steps of a run."""
    step = run.step
    return run.dispatch.batches(lambda shard: _dataset(run, step, shard))


def unknown_ids(run: Run) -> list[int]:
    """Returns the ids in the batch of the next step that are outside the vocabulary of the model."""
    batch = next(iter(_dataset(run, run.step)))
    found = np.unique(run.task.ids(batch))
    return found[(found < 0) | (found >= min(run.task.vocabularies(run.config).values()))].tolist()


def _dataset(run: Run, step: int, shard: Shard | None = None) -> tf.data.Dataset:
    settings, grouped = run.config.train, run.config.data.group_by_length
    return datasets.train_dataset(run.examples, settings.batch_size, settings.seed, step, shard, grouped)


def _next_due(run: Run) -> int:
    """Returns the next step after which a checkpoint or an evaluation needs the state."""
    settings = run.config.train
    every = [every for every in (settings.checkpoint_every, settings.eval_every) if every > 0]
    return min([settings.steps, *((run.step // steps + 1) * steps for steps in every)])
