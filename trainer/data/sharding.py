"""Which rows of a global batch a process reads: each row is read by one process, and by none twice."""

import dataclasses

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Shard:
    """The replicas of a process among those of the run.

    Attributes:
        first: Number of its first replica, counted over all processes.
        count: How many it has.
        replicas: How many all processes have together.
    """

    first: int = 0
    count: int = 1
    replicas: int = 1

    @classmethod
    def from_input_context(cls, context: tf.distribute.InputContext) -> "Shard":
        """The share of an input pipeline. All pipelines feed the same number of replicas."""
        count = context.num_replicas_in_sync // context.num_input_pipelines
        return cls(context.input_pipeline_id * count, count, context.num_replicas_in_sync)

    def rows(self, element: tf.Tensor, batch_size: int) -> tuple[tf.Tensor, tf.Tensor]:
        """The rows that are an element of the process' dataset: one element for each of its replicas, batch by batch.

        Args:
            element: Number of the element, a scalar int64.
            batch_size: B, rows of the global batch; the number of replicas divides it.

        Returns:
            Number of the batch, and `[B / replicas]` int64 places in it.
        """
        rows = batch_size // self.replicas
        replica = self.first + element % self.count
        return element // self.count, replica * rows + tf.range(rows, dtype=tf.int64)
