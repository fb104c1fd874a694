"""The training step on the GPU of this machine, or made ready for another machine, in a process of its own.

    python -m benchmarks.points.gpu_step --attention=lsh,local --length=16384 --layers=12 --precision=mixed_bfloat16
    python -m benchmarks.points.gpu_step --attention=lsh,local --length=512 --layers=2 --check

The flags are those of `benchmarks.train_step`. XLA compiles the step as a whole. With `--check` the loss and the
gradients are compared with those of the same model on the CPU of this machine, not compiled as a whole; TF32 is off for
it, and otherwise on, as it is by default. With `--program=FILE` the step is lowered for the chip `--target` into that
file in place of being run, for `compilers.processes.lowered_step`; a step to check takes its arguments and the results
of the CPU along, in a file beside it. Where there is no GPU the CPU takes its place, which shows that the command
works. The last line is one JSON object.
"""

import json
import pathlib
import statistics
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import flags

from benchmarks.measuring import command_line, steps, training_step
from compilers.chips.registry import CHIPS
from compilers.processes import comparison
from compilers.steps import lowering
from compilers.steps.step_to_compile import StepToCompile
from reformer_tf.models import ReformerCausalLM
from reformer_tf.ops.execution import budgets, compiled_functions

flags.adopt_module_key_flags(training_step)  # For --help.
_CHECK = flags.DEFINE_bool("check", False, "Whether numbers are compared with the CPU.")
_PROGRAM = flags.DEFINE_string("program", None, "File for the lowered step.")
_TARGET = flags.DEFINE_enum("target", "h200", list(CHIPS), "The chip that the step is lowered for.")

_Step = Callable[..., tuple[tf.Tensor, list[tf.Tensor]]]


def measure() -> dict[str, Any]:
    """Compiles the step, runs it, and returns the content of the last line."""
    device = _device()
    ids = steps.random_ids(training_step.BATCH.value, training_step.LENGTH.value)
    start = time.perf_counter()
    with tf.device(device):
        step = training_step.run(_compiled(training_step.build_model()))
        steps.timed(step, ids, 0)
        compile_s = time.perf_counter() - start
        seconds = [steps.timed(step, ids, 1 + index) for index in range(training_step.REPEAT.value)]
    return {
        "device": _name(),
        "compile_s": compile_s,
        "step_s": statistics.median(seconds),
        "peak_bytes": tf.config.experimental.get_memory_info(device)["peak"] if _gpus() else None,
    }


def check() -> dict[str, Any]:
    """Compares the device with the CPU, and returns the content of the last line."""
    expected, weights = _reference()
    with tf.device(_device()):
        model = training_step.build_model()
        model.set_weights(weights)
        found = _results(_compiled(model))
    return {"device": _name(), **comparison.errors(found, expected)}


def save(path: pathlib.Path) -> dict[str, Any]:
    """Lowers the step into a file, and returns the content of the last line."""
    model, signature = training_step.build_model(), training_step.signature(training_step.LENGTH.value)
    function = tf.function(training_step.build_step(model), jit_compile=True, autograph=False)
    program = lowering.lower(StepToCompile(function, signature, {}), CHIPS[_TARGET.value])
    path.write_bytes(program)
    if _CHECK.value:
        expected, _ = _reference(model)
        # Of a step that is traced already.
        captured = [_value(x) for x in function.get_concrete_function(*signature).captured_inputs]
        comparison.save(path.with_suffix(".npz"), [*_inputs(), *captured], expected)
    return {"program_bytes": len(program)}


def _gpus() -> list[Any]:
    return tf.config.list_physical_devices("GPU")


def _device() -> str:
    """The device that is measured."""
    return "GPU:0" if _gpus() else "CPU:0"


def _name() -> str:
    """The name of the device that is measured."""
    gpus = _gpus()
    return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU") if gpus else "cpu"


def _compiled(model: ReformerCausalLM) -> _Step:
    """The step, compiled as a whole for the device in whose scope it is called first."""
    function = tf.function(training_step.build_step(model), jit_compile=True, autograph=False)
    with compiled_functions.compiled_as_a_whole():
        return function.get_concrete_function(*training_step.signature(training_step.LENGTH.value))


def _reference(model: ReformerCausalLM | None = None) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Loss and gradients on the CPU, and the weights of the model, a new one if there is none."""
    with tf.device("CPU:0"), budgets.target("CPU"):
        model = training_step.build_model() if model is None else model
        step = tf.function(training_step.build_step(model), autograph=False)
        return _results(step), model.get_weights()


def _inputs() -> list[np.ndarray]:
    """The ids and the seed."""
    ids = steps.random_ids(training_step.BATCH.value, training_step.LENGTH.value)
    return [ids, np.array([0, 1], np.int32)]


def _results(step: _Step) -> list[np.ndarray]:
    """The loss and all gradients."""
    loss, gradients = step(*map(tf.constant, _inputs()))
    return [loss.numpy(), *(x.numpy() for x in gradients)]


def _value(captured: tf.Tensor) -> np.ndarray:
    """The value of a captured tensor or variable, by whose handle TensorFlow passes it."""
    if captured.dtype != tf.resource:
        return captured.numpy()
    dtype = captured._handle_data.shape_and_type[0].dtype
    return tf.raw_ops.ReadVariableOp(resource=captured, dtype=dtype).numpy()


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
