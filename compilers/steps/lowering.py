"""Lowers a step for a chip: from TensorFlow's graph to a program that the chip's compiler takes."""

from typing import Any

import numpy as np
import tensorflow as tf

from compilers.chips.registry import Chip
from compilers.steps.step_to_compile import StepToCompile
from reformer_tf.ops.execution import budgets, compiled_functions


def lower(step: StepToCompile, chip: Chip) -> bytes:
    """Lowers a step as it is on a chip, which need not be there.

    Weights and slots are arguments of the program; those that the step updates are outputs, which may take the memory
    of their arguments, as in training. TensorFlow lowers for the device that it finds here: what comes of it, before
    any optimization, is the same for all kinds of devices.

    Args:
        step: the step; its function must not have been traced before.
        chip: the chip, whose kind and memory choose the budgets.

    Returns:
        A serialized `HloModuleProto`.
    """
    with budgets.target(chip.kind, chip.memory_bytes), compiled_functions.compiled_as_a_whole():
        return step.function.experimental_get_compiler_ir(*step.signature)(stage="hlo_serialized")


def trace(step: StepToCompile) -> Any:
    """Traces a step as one program for the device in whose scope it is called first, as `lower` does for a chip."""
    with compiled_functions.compiled_as_a_whole():
        return step.function.get_concrete_function(*step.signature)


def captured(step: StepToCompile) -> list[np.ndarray]:
    """The values of the weights and constants that are the last arguments of a step's program."""
    return [_value(x) for x in step.function.get_concrete_function(*step.signature).captured_inputs]


def _value(captured: tf.Tensor) -> np.ndarray:
    """The value of a captured tensor or variable, by whose handle TensorFlow passes it."""
    if captured.dtype != tf.resource:
        return captured.numpy()
    dtype = captured._handle_data.shape_and_type[0].dtype
    return tf.raw_ops.ReadVariableOp(resource=captured, dtype=dtype).numpy()
