"""A step by TensorFlow: its results on the CPU, and its file for another machine."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compiler.xla.service import hlo_pb2

from compilers.chips.registry import CHIPS
from compilers.runs import comparison, traced_step
from compilers.steps import lowering
from compilers.steps.step_to_compile import StepToCompile

INPUTS = [np.array([1.0, 2.0], np.float32)]


@pytest.fixture
def step():
    weight, shift = tf.Variable([3.0, 5.0]), tf.constant([0.5, 0.25])

    def loss_and_gradients(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(weight * x + shift)
        return loss, tape.gradient(loss, [weight])

    function = tf.function(loss_and_gradients, jit_compile=True, autograph=False)
    return StepToCompile(function, [tf.TensorSpec([2], tf.float32)], {})


def test_results(step):
    for loss, gradient in (
        traced_step.results_on_cpu(step, INPUTS),
        traced_step.results(lowering.trace(step), INPUTS),
    ):
        assert loss == 13.75
        np.testing.assert_array_equal(gradient, [1.0, 2.0])


@pytest.mark.parametrize("checked", [False, True])
def test_a_file(step, tmp_path, checked):
    path = tmp_path / "step.hlo"
    assert traced_step.save(step, CHIPS["h200"], path, INPUTS if checked else None) == path.stat().st_size
    program = hlo_pb2.HloModuleProto.FromString(path.read_bytes())
    shapes = [list(shape.dimensions) for shape in program.host_program_shape.parameters]
    assert path.with_suffix(".npz").exists() == checked
    if checked:
        arguments, (loss, _) = comparison.load(path.with_suffix(".npz"))
        assert [list(x.shape) for x in arguments] == shapes and loss == 13.75
