"""Every row of a global batch is read by one replica, whatever the layout, in the order of the rows."""

import numpy as np
import pytest
import tensorflow as tf

from trainer.data.sharding import Shard


@pytest.mark.parametrize(("processes", "replicas_each"), [(1, 1), (1, 2), (2, 1), (3, 2), (6, 1)])
def test_all_rows_once(processes, replicas_each):
    batch_size, replicas = 12, processes * replicas_each
    found = {}
    for process in range(processes):
        shard = Shard.from_input_context(tf.distribute.InputContext(processes, process, replicas))
        for element in range(3 * replicas_each):
            batch, rows = shard.rows(tf.constant(element, tf.int64), batch_size)
            replica = process * replicas_each + element % replicas_each
            found[int(batch), replica] = rows.numpy()
    assert set(found) == {(batch, replica) for batch in range(3) for replica in range(replicas)}
    for batch in range(3):
        rows = np.concatenate([found[batch, replica] for replica in range(replicas)])
        np.testing.assert_array_equal(rows, np.arange(batch_size))
