"""The training step on the GPU of this machine, or made ready for another machine, in a process of its own.

    python -m benchmarks.points.gpu_step --attention=lsh,local --length=16384 --layers=12 --precision=mixed_bfloat16
    python -m benchmarks.points.gpu_step --attention=lsh,local --length=512 --layers=2 --check

The flags are those of `benchmarks.train_step`. XLA compiles the step as a whole. With `--check` the loss and the
gradients are compared with those of the same model on the CPU of this machine, not compiled as a whole; TF32 is off for
it, and otherwise on, as it is by default. With `--program=FILE` the step is lowered for the chip `--target` into that
file in place of being run, for `compilers.runs.lowered_step`; a step to check takes its arguments and the results
of the CPU along, in a file beside it. Where there is no GPU the CPU takes its place, which shows that the command
works. The last line is one JSON object.
"""

import json
import pathlib
import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import flags

from benchmarks.measuring import command_line, steps, training_step
from compilers.chips.registry import CHIPS
from compilers.runs import comparison, traced_step
from compilers.steps import lowering

flags.adopt_module_key_flags(training_step)  # For --help.
_CHECK = flags.DEFINE_bool("check", False, "Whether numbers are compared with the CPU.")
_PROGRAM = flags.DEFINE_string("program", None, "File for the lowered step.")
_TARGET = flags.DEFINE_enum("target", "h200", list(CHIPS), "The chip that the step is lowered for.")


def measure() -> dict[str, Any]:
    """Compiles the step, runs it, and returns the content of the last line."""
    device, name = traced_step.device()
    ids = steps.random_ids(training_step.BATCH.value, training_step.LENGTH.value)
    start = time.perf_counter()
    with tf.device(device):
        step = training_step.run(lowering.trace(training_step.to_compile(training_step.build_model())))
        steps.timed(step, ids, 0)
        compile_s = time.perf_counter() - start
        step_s = steps.median_seconds(step, ids, 1, training_step.REPEAT.value)
    return {
        "device": name,
        "compile_s": compile_s,
        "step_s": step_s,
        "peak_bytes": None if device == traced_step.CPU else tf.config.experimental.get_memory_info(device)["peak"],
    }


def check() -> dict[str, Any]:
    """Compares the device with the CPU, and returns the content of the last line."""
    device, name = traced_step.device()
    with tf.device(traced_step.CPU):
        reference = training_step.build_model()
    expected = traced_step.results_on_cpu(training_step.to_compile(reference), _inputs())
    with tf.device(device):
        model = training_step.build_model()
        model.set_weights(reference.get_weights())
        found = traced_step.results(lowering.trace(training_step.to_compile(model)), _inputs())
    return {"device": name, **comparison.errors(found, expected)}


def save(path: pathlib.Path) -> dict[str, Any]:
    """Lowers the step into a file, and returns the content of the last line."""
    step = training_step.to_compile(training_step.build_model())
    return {"program_bytes": traced_step.save(step, CHIPS[_TARGET.value], path, _inputs() if _CHECK.value else None)}


def _inputs() -> list[np.ndarray]:
    """The ids and the seed."""
    ids = steps.random_ids(training_step.BATCH.value, training_step.LENGTH.value)
    return [ids, np.array([0, 1], np.int32)]


def main() -> None:
    """Checks the arguments and does what they say."""
    with command_line.checking():
        training_step.check()
        if _CHECK.value and training_step.PRECISION.value != "float32":
            raise ValueError(f"--check needs --precision=float32. Received: {training_step.PRECISION.value}")
    tf.config.experimental.enable_tensor_float_32_execution(not _CHECK.value)
    keras.utils.set_random_seed(0)
    found = save(pathlib.Path(_PROGRAM.value)) if _PROGRAM.value else check() if _CHECK.value else measure()
    print(json.dumps({**found, "tf32": not _CHECK.value}))


if __name__ == "__main__":
    command_line.run(main)
