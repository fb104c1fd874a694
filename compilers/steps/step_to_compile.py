"""What is compiled: a step with static shapes."""

from typing import Any, NamedTuple


class StepToCompile(NamedTuple):
    """A step.

    Attributes:
        function: a `tf.function` with `jit_compile=True`.
        signature: `tf.TensorSpec` of its inputs, of static shapes.
        facts: what a point says about it.
    """

    function: Any
    signature: list[Any]
    facts: dict[str, Any]
