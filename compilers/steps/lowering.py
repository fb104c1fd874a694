"""Lowers a step for a chip: from TensorFlow's graph to a program that the chip's compiler takes."""

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
