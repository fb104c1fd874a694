"""Steps lowered for chips that are not here, and what their compilers say."""

import dataclasses
import os
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
from tests.benchmarks import fake_compiler
from tests.benchmarks.fake_compiler import FACTS
from tests.benchmarks.measuring.hlo.programs import Computation

IN_ALL = "RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used 18.50G of 15.75G hbm. Exceeded hbm capacity"
TEMPORARIES = (
    "RESOURCE_EXHAUSTED: E1000: CompileTimeHbmOom: Ran out of memory on HBM, the total memory required for HLO "
    "temporaries (18.50G) exceeds available HBM (15.75G). HLO module: a_inference_run_8846__.301."
)
ON_CHIP = "RESOURCE_EXHAUSTED: Ran out of memory in memory space vmem while allocating on stack. Used 200M of 128M vmem"
SIZES = {"temp": 100, "argument": 60, "output": 50, "alias": 40, "generated_code": 7}


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


@pytest.mark.parametrize(("refusal", "kind"), [(IN_ALL, "in_all"), (TEMPORARIES, "temporary")])
def test_what_a_compiler_needs_that_refuses(refusal, kind):
    needed, available = round(18.5 * 2**30), round(15.75 * 2**30)
    found = {"needed_bytes": needed, "available_bytes": available, "needed_kind": kind}
    assert chip_program.needed(refusal) == found and chip_compiler.is_refusal(refusal)


def test_a_compiler_may_not_say_what_it_needs():
    assert chip_program.needed("RESOURCE_EXHAUSTED: no more") == {}


@pytest.mark.parametrize("said", [ON_CHIP, "RESOURCE_EXHAUSTED: Out of memory allocating 99 bytes on the host"])
def test_another_memory_than_the_main_memory_is_no_refusal(said):
    assert not chip_compiler.is_refusal(said)


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


@pytest.mark.parametrize(
    ("ending", "facts", "error", "message"),
    [
        ("kill -9 $$", None, MemoryError, "The compiler of v5e was killed, as the system does when memory runs out"),
        ("kill -11 $$", None, RuntimeError, "ended with exit code -11"),
        ("echo it broke >&2; exit 3", None, RuntimeError, "ended with exit code 3: it broke"),
        ("", {**FACTS, "sizes": SIZES}, RuntimeError, "wrote no program. Received: versions .*'jax': '0.10.2'"),
    ],
)
def test_a_compiler_that_fails(tmp_path, ending, facts, error, message):
    python = fake_compiler.write(tmp_path, facts, ending=ending)
    with pytest.raises(error, match=message):
        compile_process.compile_program(b"lowered", "v5e", python)


def test_the_versions_that_compile(tmp_path):
    python = fake_compiler.write(tmp_path)
    assert compile_process.check("v5e", python) == {"jax": "0.10.2"}


def test_a_lock_of_another_user_is_refused_at_once(monkeypatch, tmp_path):
    lock = tmp_path / "lock"
    lock.touch()
    monkeypatch.setitem(CHIPS, "v5e", dataclasses.replace(CHIPS["v5e"], lock=str(lock), packages=()))
    monkeypatch.setattr(os, "access", lambda *_: False)  # As for any user but root.
    monkeypatch.setattr(sys, "argv", ["chip_compiler", "v5e"])
    with pytest.raises(SystemExit, match=f"--target=v5e needs a lock file .*: rm {lock}"):
        chip_compiler.main()


@pytest.fixture
def clock():
    """The seconds that went by, which sleeping adds to."""
    return [0.0]


def _loaded(clock, load):
    return chip_compiler.loaded(
        load, "/tmp/lock", sleep=lambda s: clock.__setitem__(0, clock[0] + s), clock=lambda: clock[0]
    )


def test_a_compiler_that_is_in_use_is_waited_for(clock):
    def load():
        if clock[0] < 100:
            raise RuntimeError("The TPU is already in use by process with pid 17")
        return "compiler"

    assert _loaded(clock, load) == ("compiler", 100.0)
    assert _loaded(clock, lambda: "compiler") == ("compiler", 0.0)


def test_waiting_for_a_compiler_ends(clock):
    def load():
        raise RuntimeError("ABORTED: Internal error when accessing libtpu multi-process lockfile")

    with pytest.raises(TimeoutError, match="/tmp/lock was locked for 15 minutes. .* remove the file: rm /tmp/lock"):
        _loaded(clock, load)
    assert 900 <= clock[0] < 920


def test_other_errors_of_a_compiler_are_raised_at_once(clock):
    with pytest.raises(ZeroDivisionError):
        _loaded(clock, lambda: 1 // 0)
    assert clock[0] == 0


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
