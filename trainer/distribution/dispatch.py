"""Dispatch of steps: to the replicas of this process, or to workers that run them for it."""

from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from trainer.data.sharding import Shard

LOST_PEER_ERRORS = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError)
"""Errors that TensorFlow raises in the other processes of a cluster when one is gone."""

_MakeDataset = Callable[[Shard], tf.data.Dataset]


class DirectDispatch:
    """Every process computes its shard of each batch.

    Args:
        strategy: Strategy whose replicas compute.
    """

    def __init__(self, strategy: tf.distribute.Strategy):
        self._strategy = strategy

    def batches(self, make_dataset: _MakeDataset) -> Iterator[Any]:
        """Iterates over batches.

        Args:
            make_dataset: Makes the dataset of a shard: one element for each replica of the process, batch by batch.

        Returns:
            The batches, each distributed over the replicas.
        """

        def make_process_dataset(context: tf.distribute.InputContext) -> tf.data.Dataset:
            return make_dataset(Shard.from_input_context(context))

        return iter(self._strategy.distribute_datasets_from_function(make_process_dataset))

    def start(self, function: Callable[..., Any], *args: Any) -> Callable[[], Any]:
        """Starts a computation.

        Args:
            function: A `tf.function`.
            args: Arguments of the function.

        Returns:
            A function that waits for the result and returns it.
        """
        result = function(*args)
        return lambda: result


class ScheduledDispatch:
    """One worker computes each batch; it reads the variables from the parameter servers and updates them.

    The batch is made here and sent to the worker: it is small beside the work on it, its step is known exactly, and
    workers need no data of their own.

    Args:
        strategy: A strategy with parameter servers.
    """

    def __init__(self, strategy: tf.distribute.ParameterServerStrategy):
        self._coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)

    def batches(self, make_dataset: _MakeDataset) -> Iterator[Any]:
        """Iterates over global batches; see `DirectDispatch.batches`."""
        return iter(make_dataset(Shard()))

    def start(self, function: Callable[..., Any], *args: Any) -> Callable[[], Any]:
        """Starts a computation on the next free worker; see `DirectDispatch.start`."""
        return self._coordinator.schedule(function, args=args).fetch


def make_dispatch(strategy: tf.distribute.Strategy) -> DirectDispatch | ScheduledDispatch:
    """Makes the dispatch of a strategy."""
    if isinstance(strategy, tf.distribute.ParameterServerStrategy):
        return ScheduledDispatch(strategy)
    return DirectDispatch(strategy)
