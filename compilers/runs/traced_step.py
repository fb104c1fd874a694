"""A training step on the device of this machine by TensorFlow, or lowered for `lowered_step` on another machine."""

import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from compilers.chips.registry import Chip
from compilers.runs import comparison
from compilers.steps import lowering
from compilers.steps.step_to_compile import StepToCompile
from reformer_tf.ops.execution import budgets

CPU = "CPU:0"


def device() -> tuple[str, str]:
    """The device of this machine, a GPU where there is one, and its name."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return CPU, "cpu"
    return "GPU:0", tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")


def results(step: Callable[..., tuple[Any, Sequence[Any]]], inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The loss and all gradients of a step."""
    loss, gradients = step(*map(tf.constant, inputs))
    return [loss.numpy(), *(x.numpy() for x in gradients)]


def results_on_cpu(step: StepToCompile, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The loss and all gradients of a step on the CPU, where it is not compiled."""
    with tf.device(CPU), budgets.target("CPU"):
        return results(tf.function(step.function.python_function, autograph=False), inputs)


def save(step: StepToCompile, chip: Chip, path: pathlib.Path, inputs: Sequence[np.ndarray] | None = None) -> int:
    """Lowers a step into a file.

    Args:
        step: the step; its function must not have been traced before.
        chip: the chip that it is lowered for.
        path: of the file.
        inputs: of a step to check, whose arguments and results on the CPU go into a file beside the other.

    Returns:
        The bytes of the program.
    """
    program = lowering.lower(step, chip)
    path.write_bytes(program)
    if inputs is not None:
        arguments = [*inputs, *lowering.captured(step)]
        comparison.save(path.with_suffix(".npz"), arguments, results_on_cpu(step, inputs))
    return len(program)
