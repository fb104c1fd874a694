"""Steps lowered for chips that are not here, and what their compilers say."""

import dataclasses
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compiler.xla.service import hlo_pb2

from benchmarks.measuring import chip_program, compile_process, config_step, lowering
from benchmarks.measuring.chips import CHIPS
from benchmarks.measuring.step_to_compile import StepToCompile
from benchmarks.points import chip_compiler
from configs import tiny

REFUSALS = [
    "RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used 18.50G of 15.75G hbm. Exceeded hbm capacity",
    "RESOURCE_EXHAUSTED: E1000: CompileTimeHbmOom: Ran out of memory on HBM, the total memory required for HLO "
    "temporaries (18.50G) exceeds available HBM (15.75G). HLO module: a_inference_run_8846__.301.",
]


def _config():
    config = tiny.get_config()
    config.model.num_layers, config.train.batch_size = 2, 2
    return config


@pytest.fixture(scope="module")
def lowered():
    step = config_step.make(_config())
    return step, hlo_pb2.HloModuleProto.FromString(lowering.lower(step, CHIPS["v5e"]))


def test_the_step_of_a_config_updates_its_weights_and_slots_in_place(lowered):
    step, module = lowered
    (entry,) = [c for c in module.computations if c.id == module.entry_computation_id]
    parameters = {i.parameter_number: i for i in entry.instructions if i.opcode == "parameter"}
    updated = [parameters[alias.parameter_number].shape for alias in module.input_output_alias.entries]
    numbers = sum(int(np.prod(shape.dimensions)) for shape in updated)
    # Weights and both averages of Adam; and the number of updates.
    assert numbers == 3 * step.facts["parameters"] + 1


def test_no_weight_is_a_constant_of_the_lowered_step(lowered):
    step, module = lowered
    (entry,) = [c for c in module.computations if c.id == module.entry_computation_id]
    arguments = [i for i in entry.instructions if i.opcode == "parameter"]
    assert sum(int(np.prod(i.shape.dimensions)) for i in arguments) >= 3 * step.facts["parameters"]


def test_a_step_keeps_the_batch_and_the_optimizer_of_its_config():
    config = _config()
    config.optimizer.name, config.train.batch_size, config.train.sequence_length = "adafactor", 4, 64
    step = config_step.make(config)
    assert [spec.shape.as_list() for spec in step.signature] == [[4, 65], [4, 65], [2]]
    assert step.facts["optimizer"] == "adafactor" and len(step.signature) == 3


def test_a_config_that_breaks_a_rule_is_refused():
    config = _config()
    config.train.batch_size, config.train.accumulation_steps = 3, 2
    with pytest.raises(ValueError, match="`config.train.batch_size` must be divisible"):
        config_step.make(config)


@pytest.mark.parametrize("refusal", REFUSALS)
def test_what_a_compiler_needs_that_refuses(refusal):
    assert chip_program.needed(refusal) == {"total_bytes": round(18.5 * 2**30)}


def test_a_compiler_may_not_say_what_it_needs():
    assert chip_program.needed("RESOURCE_EXHAUSTED: no more") == {}


@pytest.fixture
def bare_python(tmp_path):
    """A Python without installed packages."""
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    script.chmod(0o755)
    return str(script)


@pytest.mark.parametrize("target", CHIPS)
def test_an_environment_without_the_compiler_is_refused(bare_python, target):
    needed = " and ".join(CHIPS[target].packages)
    with pytest.raises(ValueError, match=f"--target={target} needs {needed} .*Received: .*, without {needed}"):
        compile_process.check(target, bare_python)


def test_a_python_that_is_none_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="none"):
        compile_process.check("h200", str(tmp_path / "none"))


def test_missing_packages():
    assert chip_compiler.missing(dataclasses.replace(CHIPS["h200"], packages=("json", "no_such_one"))) == [
        "no_such_one"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("target", ["h200", "v5e"])
def test_a_step_compiles_for_a_chip(target):
    if chip_compiler.missing(CHIPS[target]):
        pytest.skip(f"needs {CHIPS[target].packages}")
    step = config_step.make(_config())
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
