"""Rows written into a tensor."""

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.ops.execution import in_place


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int32"])
@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
def test_rows_are_written(mode, dtype):
    def write(x, rows, values):
        return in_place.set_rows(x + 0, rows, values)  # `x + 0` is a new tensor.

    call = write if mode == "eager" else tf.function(write, jit_compile=mode == "xla")
    x = tf.cast(tf.reshape(tf.range(12), [4, 3]), dtype)
    result = call(x, tf.constant([3, 1]), tf.cast([[20, 21, 22], [30, 31, 32]], dtype))
    expected = [[0, 1, 2], [30, 31, 32], [6, 7, 8], [20, 21, 22]]
    np.testing.assert_array_equal(tf.cast(result, tf.float32), expected)
    np.testing.assert_array_equal(tf.cast(x, tf.int32), np.arange(12).reshape(4, 3))


def test_a_loop_does_not_copy_what_it_keeps():
    """Writing a row a step takes hardly longer for a thousand times the memory, which copies would."""

    @tf.function
    def loop(steps, x):
        def body(index, x):
            return index + 1, in_place.set_rows(x, index[None], tf.fill([1, 64], tf.cast(index, tf.float32)))

        return tf.while_loop(lambda index, _: index < steps, body, (tf.constant(0), x + 0), parallel_iterations=1)[1]

    def seconds(rows, steps):
        x = tf.zeros([rows, 64])
        times = []
        for _ in range(3):
            start = tf.timestamp()
            np.testing.assert_array_equal(loop(tf.constant(steps), x)[steps - 1, 0], steps - 1)
            times.append(float(tf.timestamp() - start))
        return min(times)

    # 64 MiB: a copy takes some 5 ms, so 400 of them two seconds.
    assert seconds(262_144, 400) - seconds(262_144, 1) < 0.5 + 20 * seconds(512, 400)


def test_what_is_read_before_is_read_before():
    @tf.function
    def both(x):
        x = x + 0.0
        read = tf.reduce_sum(x)
        return read, in_place.set_rows(in_place.after(read, x), tf.constant([0]), tf.constant([[9.0]]))

    for _ in range(20):
        read, written = both(tf.ones([100_000, 1]))
        assert float(read) == 100_000
        assert float(written[0, 0]) == 9
