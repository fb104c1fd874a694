"""The step of a small language model as accelerators compile it: its numbers on a CPU, and the program for a GPU."""

import collections
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compiler.xla.service import hlo_pb2

from reformer_tf.models import ReformerCausalLM
from reformer_tf.ops.execution import budgets, compiled_functions
from tests.testing import modes

VOCABULARY, LENGTH, WIDTH = 11, 600, 16
SEED = tf.constant([3, 4])
INTEGERS = 4  # Int32 in a program's shapes.


def _model(length, positions="axial", num_layers=2):
    keras.utils.set_random_seed(0)
    sizes = {"num_layers": num_layers, "hidden_dim": WIDTH, "num_heads": 2, "key_dim": 8, "intermediate_dim": 24}
    return ReformerCausalLM(
        VOCABULARY,
        length,
        attention_layers=["local", "lsh"],
        chunk_length=16,
        num_hashes=2,
        positions=positions,
        rotary=True,
        **sizes,
    )


def _step(model):
    """Loss and gradients as a function of ids, mask and weights: a program for another device takes no variables."""
    trained = [any(v is other for other in model.trainable_variables) for v in model.variables]

    def step(ids, mask, *values):
        weights = [value for value, is_trained in zip(values, trained, strict=True) if is_trained]
        with (
            keras.StatelessScope(state_mapping=list(zip(model.variables, values, strict=True))),
            compiled_functions.compiled_as_a_whole(),
            tf.GradientTape() as tape,
        ):
            tape.watch(weights)
            loss = tf.reduce_mean(model.token_losses(ids, mask=mask, training=True, seed=SEED))
        return [loss, *(tf.convert_to_tensor(x) for x in tape.gradient(loss, weights))]

    return step


def _data(model, length):
    rng = np.random.default_rng(0)
    ids = rng.integers(0, VOCABULARY, (2, length + 1)) * rng.integers(0, 2, (2, length + 1))
    mask = np.ones([2, length + 1], bool)
    mask[1, -length // 4 :] = False
    return tf.constant(ids, tf.int32), tf.constant(mask), *(tf.identity(v.value) for v in model.variables)


@pytest.mark.parametrize(
    ("positions", "memory", "kind", "layers", "scanned"),
    [
        ("axial", 2**30, "GPU", 2, False),
        pytest.param("learned", 2**30, "TPU", 4, False, marks=pytest.mark.slow),
        pytest.param("axial", 2**21, "TPU", 4, True, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("mode", ["xla", pytest.param("graph", marks=pytest.mark.slow)])
def test_numbers_are_those_of_a_cpu(positions, memory, kind, layers, scanned, mode):
    model = _model(LENGTH, positions, layers)
    data = _data(model, LENGTH)
    expected = _step(model)(*data)
    with (
        budgets.target(kind, memory_bytes=memory),
        budgets.override(least_slice_tokens=64, scanned_bytes=scanned * 2**30),
    ):
        found = modes.run(mode, _step(model), data, LENGTH)
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_allclose(x, y, atol=1e-5 * max(np.abs(y).max(), 1e-3))


def _program(length):
    model = _model(length)
    with budgets.target("GPU"):
        function = tf.function(_step(model), jit_compile=True, autograph=False)
        specs = [tf.TensorSpec(x.shape, x.dtype) for x in _data(model, length)]
        return function.experimental_get_compiler_ir(*specs)(stage="hlo_serialized", platform_name="GPU")


def test_a_program_has_no_scatter_that_adds_numbers_and_no_table_of_indices():
    module = hlo_pb2.HloModuleProto.FromString(_program(16 * LENGTH))
    instructions = [x for computation in module.computations for x in computation.instructions]
    opcodes = collections.Counter(x.opcode for x in instructions)
    assert opcodes["sort"] and opcodes["opt-barrier"]
    # Only permutations are inverted by a scatter, whose indices are all different.
    assert {x.shape.element_type for x in instructions if x.opcode == "scatter"} == {INTEGERS}
    assert max(math.prod(x.shape.dimensions) for x in instructions if x.opcode == "constant") < LENGTH // 2
