"""Steps compiled for chips that are not here, and what is read of their programs."""

import pytest
import tensorflow as tf
from tensorflow.compiler.xla.service import hlo_pb2

from compilers.chips.registry import CHIPS
from compilers.processes import chip_compiler
from compilers.steps import chip_program, config_step
from compilers.steps.step_to_compile import StepToCompile
from configs import tiny
from tests.compilers import fake_compiler
from tests.compilers.fake_compiler import FACTS, SIZES
from tests.compilers.hlo.programs import Computation

IN_ALL = "RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used 18.50G of 15.75G hbm. Exceeded hbm capacity"
TEMPORARIES = (
    "RESOURCE_EXHAUSTED: E1000: CompileTimeHbmOom: Ran out of memory on HBM, the total memory required for HLO "
    "temporaries (18.50G) exceeds available HBM (15.75G). HLO module: a_inference_run_8846__.301."
)


@pytest.mark.parametrize(("refusal", "kind"), [(IN_ALL, "in_all"), (TEMPORARIES, "temporary")])
def test_what_a_compiler_needs_that_refuses(refusal, kind):
    needed, available = round(18.5 * 2**30), round(15.75 * 2**30)
    found = {"needed_bytes": needed, "available_bytes": available, "needed_kind": kind}
    assert chip_program.needed(refusal) == found and chip_compiler.is_refusal(refusal)


def test_a_compiler_may_not_say_what_it_needs():
    assert chip_program.needed("RESOURCE_EXHAUSTED: no more") == {}


@pytest.fixture
def program():
    """A product in bfloat16, with its constants and its temporary memory."""
    program = hlo_pb2.HloProto()
    entry = Computation(program.hlo_module)
    entry.dot("BF16 16 16", entry.add("parameter", "BF16 16 32"), entry.add("parameter", "BF16 32 16"))
    for index, kind in enumerate([{}, {"is_constant": True}, {"is_entry_computation_parameter": True}]):
        program.buffer_assignment.buffer_allocations.add(index=index, size=1000 + index, **kind)
    return program.SerializeToString()


@pytest.fixture
def product():
    function = tf.function(lambda x: tf.matmul(x, x), jit_compile=True, autograph=False)
    return StepToCompile(function, [tf.TensorSpec([8, 8], tf.float32)], {})


def test_a_program_is_read(tmp_path, program, product):
    found = chip_program.read(product, "v5e", fake_compiler.write(tmp_path, {**FACTS, "sizes": SIZES}, program))
    assert found["fits"] and found["memory_bytes"] == 2**34 and found["program_bytes"] > 0
    assert found["versions"] == {"tensorflow": tf.__version__, "jax": "0.10.2"} and found["waited_s"] == 0.0
    assert (found["temporary_bytes"], found["argument_bytes"], found["aliased_bytes"]) == (100, 60, 40)
    assert found["constant_bytes"] == 1001 and found["total_bytes"] == 100 + 60 + 50 + 7 - 40 + 1001
    assert found["matmul_flops"] == 2 * 16 * 16 * 32 and found["floor_s"] > 0 and found["largest"] == []


def test_a_program_that_takes_what_the_driver_needs_does_not_fit(tmp_path, program, product):
    sizes = {**SIZES, "temp": CHIPS["h200"].memory_bytes - 10_000}
    found = chip_program.read(product, "h200", fake_compiler.write(tmp_path, {**FACTS, "sizes": sizes}, program))
    assert found["memory_bytes"] < found["total_bytes"] < CHIPS["h200"].memory_bytes and not found["fits"]


def test_a_refused_program_is_read_as_far_as_it_came(tmp_path, program, product):
    found = chip_program.read(product, "v5e", fake_compiler.write(tmp_path, {**FACTS, "refusal": TEMPORARIES}, program))
    assert not found["fits"] and found["refusal"] == TEMPORARIES and found["needed_kind"] == "temporary"
    assert found["temporary_bytes"] == 1000 and found["total_bytes"] == 1000 + 1001 + 1002


def test_a_refusal_without_a_program(tmp_path, product):
    found = chip_program.read(product, "v5e", fake_compiler.write(tmp_path, {**FACTS, "refusal": IN_ALL}))
    assert not found["fits"] and found["needed_kind"] == "in_all" and "total_bytes" not in found


@pytest.mark.slow
@pytest.mark.parametrize("target", ["h200", "v5e"])
def test_a_step_compiles_for_a_chip(target):
    if chip_compiler.missing(CHIPS[target]):
        pytest.skip(f"needs {CHIPS[target].packages}")
    config = tiny.get_config()
    config.model.num_layers, config.train.batch_size = 2, 2
    step = config_step.make(config)
    found = chip_program.read(step, target)
    assert found["fits"] and found["temporary_bytes"] > 0
    assert found["argument_bytes"] >= found["aliased_bytes"] >= 3 * 4 * step.facts["parameters"]
    assert found["largest"][0]["bytes"] > 0
    assert found["launches"] >= found["instructions"] > 0 and found["unknown_loops"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("target", ["h200", "v5e"])
def test_a_product_is_counted_on_a_chip(target):
    if chip_compiler.missing(CHIPS[target]):
        pytest.skip(f"needs {CHIPS[target].packages}")
    function = tf.function(lambda x, y: tf.matmul(x, y), jit_compile=True, autograph=False)
    signature = [tf.TensorSpec([8, 256, 512], tf.bfloat16), tf.TensorSpec([8, 512, 128], tf.bfloat16)]
    found = chip_program.read(StepToCompile(function, signature, {}), target)
    assert found["matmul_flops"] == 2 * 8 * 256 * 512 * 128
    assert found["argument_bytes"] >= 2 * 8 * (256 * 512 + 512 * 128)
