"""Ranges that are no constants of a program."""

import math

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compiler.xla.service import hlo_pb2

from reformer_tf.ops.execution import budgets, index_ranges


@pytest.mark.parametrize("jit_compile", [True, False])
@pytest.mark.parametrize("kind", ["CPU", "GPU"])
def test_they_are_ranges(kind, jit_compile):
    for length in (0, 1, 2, 3, 16, 17, 30):
        call = tf.function(lambda: index_ranges.below(length), jit_compile=jit_compile)  # noqa: B023
        with budgets.target(kind):
            found = call()
        assert found.dtype == tf.int32
        np.testing.assert_array_equal(found, np.arange(length))
    np.testing.assert_array_equal(index_ranges.below(tf.constant(7)), np.arange(7))


@pytest.mark.parametrize("kind", ["GPU", "TPU"])
def test_they_are_no_constants_of_a_program(kind):
    with budgets.target(kind):
        call = tf.function(lambda: tf.tile(index_ranges.below(9600)[None] // 3, [2, 1]), jit_compile=True)
        program = call.experimental_get_compiler_ir()(stage="hlo_serialized")
    module = hlo_pb2.HloModuleProto.FromString(program)
    shapes = [x.shape.dimensions for part in module.computations for x in part.instructions if x.opcode == "constant"]
    assert shapes
    assert max(map(math.prod, shapes)) < 200
