"""Sums of rows by id without a scatter."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compiler.xla import xla_data_pb2
from tensorflow.compiler.xla.service import hlo_pb2

from reformer_tf.ops import one_hot_sums, sums
from reformer_tf.ops.execution import budgets
from tests.testing import modes

ROWS, WIDTH, COUNT = 37, 3, 5


def _data(dtype):
    rng = np.random.default_rng(0)
    # Few ids, as skewed as text; the last are none.
    ids = np.concatenate([rng.integers(0, COUNT, ROWS - 2) // 2, [-1, COUNT]])
    return tf.cast(rng.normal(size=(ROWS, WIDTH)), dtype), tf.constant(ids, tf.int32)


@pytest.mark.parametrize("mode", ["eager", "graph", "dynamic", "xla"])
@pytest.mark.parametrize("dtype", [tf.bfloat16, tf.float16, tf.float32, tf.float64], ids=lambda x: x.name)
def test_rows_of_an_id_are_added_in_full_precision(dtype, mode):
    rows, ids = _data(dtype)
    expected = np.zeros([COUNT, WIDTH])
    np.add.at(expected, ids[:-2], np.asarray(tf.cast(rows, tf.float64))[:-2])
    with budgets.target("GPU"), budgets.override(chunk_bytes=4 * COUNT * 8):  # Five chunks, the last one padded.
        found = modes.run(mode, lambda *args: [one_hot_sums.sum_by_id(*args, COUNT)], [rows, ids], ROWS)
    assert found[0].dtype == (tf.float64 if dtype == tf.float64 else tf.float32)
    modes.assert_close(found, [expected], 1e-6)


@pytest.mark.parametrize("mode", ["eager", "graph", "dynamic", "xla", "dynamic xla"])
def test_no_rows_are_zeros(mode):
    with budgets.target("GPU"):
        data = [tf.zeros([0, WIDTH]), tf.zeros([0], tf.int32)]
        (found,) = modes.run(mode, lambda *args: [one_hot_sums.sum_by_id(*args, COUNT)], data, 0)
    np.testing.assert_array_equal(found, np.zeros([COUNT, WIDTH]))


@pytest.mark.parametrize("dtype", [tf.bfloat16, tf.float16, tf.float32], ids=lambda x: x.name)
def test_rows_are_not_rounded_to_bfloat16(dtype):
    rows, ids = _data(dtype)
    with budgets.target("TPU"):
        call = tf.function(lambda *args: one_hot_sums.sum_by_id(*args, COUNT), jit_compile=True)
        program = call.experimental_get_compiler_ir(rows, ids)(stage="hlo_serialized")
    module = hlo_pb2.HloModuleProto.FromString(program)
    (dot,) = (x for computation in module.computations for x in computation.instructions if x.opcode == "dot")
    highest = 2 * [xla_data_pb2.PrecisionConfig.HIGHEST]
    assert (list(dot.precision_config.operand_precision) == highest) is (dtype != tf.bfloat16)


@pytest.mark.parametrize("dtype", [None, tf.bfloat16], ids=str)
@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
def test_the_gradient_of_a_look_up_on_accelerators(mode, dtype):
    rows, ids = (x[:-2] for x in _data(tf.bfloat16))

    def gradient(table, rows, ids):
        with tf.GradientTape() as tape:
            tape.watch(table)
            vectors = sums.look_up(table, ids, dtype)
        return [vectors, tape.gradient(vectors, table, output_gradients=tf.cast(rows, vectors.dtype))]

    data = [tf.random.stateless_normal([COUNT, WIDTH], [1, 2]), rows, ids]
    expected = [tf.convert_to_tensor(x) for x in gradient(*data)]
    with budgets.target("GPU"):
        found = [tf.convert_to_tensor(x) for x in modes.run(mode, gradient, data, ROWS)]
    assert [x.dtype for x in found] == [x.dtype for x in expected] == [dtype or tf.float32, tf.float32]
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_allclose(found[1], expected[1], atol=1e-5)
