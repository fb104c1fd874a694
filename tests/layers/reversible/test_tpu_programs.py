"""Programs of a reversible stack for a TPU, whose compiler must not keep a stream in several forms."""

import math

import keras
import pytest
import tensorflow as tf
from tensorflow.compiler.xla.service import hlo_pb2

from reformer_tf.layers import ChunkedFeedForward, ResidualBranch, ReversibleStack
from reformer_tf.ops.execution import budgets

BLOCKS, LENGTH, WIDTH = 2, 24, 10
STREAM = [1, LENGTH, WIDTH]
SEED = tf.constant([3, 4])


def _program(kind):
    blocks = [[ResidualBranch(ChunkedFeedForward(6 + i), 0.0) for i in range(2)] for _ in range(BLOCKS)]
    stack = ReversibleStack(blocks)
    stack.build((1, LENGTH, WIDTH))
    variables, trained = stack.variables, [v.trainable for v in stack.variables]

    def step(x, *values):
        weights = [value for value, is_trained in zip(values, trained, strict=True) if is_trained]
        mapping = list(zip(variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping), tf.GradientTape() as tape:
            tape.watch([x, *weights])
            output = stack(x, seed=SEED, training=True)
        return tape.gradient(output, [x, *weights])

    with budgets.target(kind), budgets.override(scanned_bytes=0):
        function = tf.function(step, jit_compile=True, autograph=False)
        specs = [tf.TensorSpec(STREAM), *(tf.TensorSpec(v.shape, v.dtype) for v in variables)]
        lowered = function.experimental_get_compiler_ir(*specs)(stage="hlo_serialized", platform_name="GPU")
    module = hlo_pb2.HloModuleProto.FromString(lowered)
    return [instruction for computation in module.computations for instruction in computation.instructions]


def _shapes(shape):
    return [list(part.dimensions) for part in shape.tuple_shapes] or [list(shape.dimensions)]


@pytest.mark.parametrize(("kind", "written"), [("GPU", 0), ("TPU", 2 * BLOCKS)])
def test_each_branch_writes_the_streams_that_it_changes_once(kind, written):
    instructions = _program(kind)
    barriers = [x for x in instructions if x.opcode == "opt-barrier"]
    # A branch changes a stream forward; backward, the stream that it reads and the gradient behind it are rebuilt.
    assert sum(shape == STREAM for x in barriers for shape in _shapes(x.shape)) == 3 * written


def test_no_stream_is_flattened():
    shapes = [shape for x in _program("TPU") for shape in _shapes(x.shape)]
    assert STREAM in shapes
    assert [math.prod(STREAM)] not in shapes
