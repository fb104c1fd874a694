"""Shards of a global batch: each row is read by one process, once."""

import dataclasses

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Shard:
    """The rows of a global batch that the replicas of one process read.

    Attributes:
        first: Index of the first replica of the process among all replicas.
        count: Number of replicas of the process.
        replicas: Number of replicas of all processes.
    """

    first: int = 0
    count: int = 1
    replicas: int = 1

    @classmethod
    def from_input_context(cls, context: tf.distribute.InputContext) -> "Shard":
        """Makes the shard of an input pipeline. All pipelines feed the same number of replicas."""
        count = context.num_replicas_in_sync // context.num_input_pipelines
        return cls(context.input_pipeline_id * count, count, context.num_replicas_in_sync)

    def rows(self, element: tf.Tensor, batch_size: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Computes the rows of an element of the process' dataset: batch by batch, one element for each replica.

        Args:
            element: Index of the element, a scalar int64.
            batch_size: B, rows of the global batch; the number of replicas divides it.

        Returns:
            Index of the batch, and `[B / replicas]` int64 indices of its rows.
        """
        rows = batch_size // self.replicas
        replica = self.first + element % self.count
        return element // self.count, replica * rows + tf.range(rows, dtype=tf.int64)
