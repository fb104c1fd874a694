"""How a program is carried out: by this process and those in step with it, or by workers that it sends work to."""

from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from trainer.data.sharding import Shard

LOST_PEER_ERRORS = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError)
"""What TensorFlow raises in the others when a process of a cluster is gone."""

_MakeDataset = Callable[[Shard], tf.data.Dataset]


class DirectDispatch:
    """Every process computes its share of each batch.

    Args:
        strategy: Where to compute.
    """

    def __init__(self, strategy: tf.distribute.Strategy):
        self._strategy = strategy

    def batches(self, make_dataset: _MakeDataset) -> Iterator[Any]:
        """Goes through batches.

        Args:
            make_dataset: Makes the dataset of a process: an element for each of its replicas in turn.

        Returns:
            The batches, each distributed over the replicas.
        """

        def make_process_dataset(context: tf.distribute.InputContext) -> tf.data.Dataset:
            return make_dataset(Shard.from_input_context(context))

        return iter(self._strategy.distribute_datasets_from_function(make_process_dataset))

    def start(self, function: Callable[..., Any], *args: Any) -> Callable[[], Any]:
        """Begins to compute.

        Args:
            function: A `tf.function`.
            args: Its arguments.

        Returns:
            A function that waits for the result and returns it.
        """
        result = function(*args)
        return lambda: result


class ScheduledDispatch:
    """Each batch is computed by one worker, which reads the variables from the parameter servers and updates them.

    The batch is made here and sent along: it is small beside the work on it, its place is known exactly, and workers
    need no data of their own.

    Args:
        strategy: A strategy with parameter servers.
    """

    def __init__(self, strategy: tf.distribute.ParameterServerStrategy):
        self._coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)

    def batches(self, make_dataset: _MakeDataset) -> Iterator[Any]:
        """The batches as `Direct.batches` gives them, whole."""
        return iter(make_dataset(Shard()))

    def start(self, function: Callable[..., Any], *args: Any) -> Callable[[], Any]:
        """As `Direct.start`, on the next worker that is free."""
        return self._coordinator.schedule(function, args=args).fetch


def make_dispatch(strategy: tf.distribute.Strategy) -> DirectDispatch | ScheduledDispatch:
    """The way to carry out a program under a strategy."""
    if isinstance(strategy, tf.distribute.ParameterServerStrategy):
        return ScheduledDispatch(strategy)
    return DirectDispatch(strategy)
