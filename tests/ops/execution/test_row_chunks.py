"""A row-wise function in chunks against the same function at once."""

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.ops.execution import row_chunks


def _fn(x, ids, w, b):
    return tf.tanh(tf.matmul(x, w) + b) * tf.cast(ids, x.dtype)[:, None]


def _data(count):
    rng = np.random.default_rng(0)
    arrays = rng.normal(size=(count, 5)), rng.normal(size=(5, 3)), rng.normal(size=3), rng.normal(size=(count, 3))
    x, w, b, dy = (tf.constant(a, tf.float32) for a in arrays)
    return x, tf.range(count), w, b, dy


def _gradients(x, ids, w, b, dy, rows):
    with tf.GradientTape() as tape:
        tape.watch([x, w, b])
        y = row_chunks.map_rows(_fn, [x, ids], [w, b], rows, tf.TensorSpec([None, 3], tf.float32))
    return [y, *tape.gradient(y, [x, w, b], output_gradients=dy)]


@pytest.mark.parametrize("count, rows", [(1, 1), (7, 1), (10, 3), (12, 4), (9, 100)])
@pytest.mark.parametrize("mode", ["eager", "graph", "dynamic", "xla"])
def test_equals_the_function_at_once(count, rows, mode):
    data = _data(count)
    expected = _gradients(*data, rows=10**6)
    call = lambda *args: _gradients(*args, rows=rows)
    if mode == "dynamic":
        call = tf.function(call, input_signature=[tf.TensorSpec([None, *x.shape[1:]], x.dtype) for x in data])
    elif mode != "eager":
        call = tf.function(call, jit_compile=mode == "xla")
    for actual, wanted in zip(call(*data), expected, strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=1e-5, atol=1e-5)
