"""Time and memory of one training step, forward and backward, of a causal language model over 256 byte values.

    python -m benchmarks.train_step --attention=lsh --length=16384 --layers=6

The last line is one JSON object. `peak_mib` is the peak resident size of the process, `base_mib` its resident size
after one step at length 256, before the long steps; a step needs their difference. Of it, 4 bytes a parameter are
gradients, and `kept_buckets_mib` are the integer buckets that a reversible stack saves.

With `--check`, the model's first LSH layer is then compared with unblocked attention, on as many random inputs and with
the same buckets (see `tests.testing.unblocked.check`): `check_output_error` and `check_gradient_error`.
"""

import json
from typing import Any

import tensorflow as tf
from absl import flags

from benchmarks.measuring import command_line, steps, training_step
from reformer_tf.layers import LSHSelfAttention
from reformer_tf.models import ReformerCausalLM

flags.adopt_module_key_flags(training_step)  # For --help.
_CHECK = flags.DEFINE_bool("check", False, "Whether an LSH layer is checked against the unblocked core.")


def measure() -> dict[str, Any]:
    """Builds the model, runs the steps, and returns the content of the last line."""
    model = training_step.build_model()
    batch, length, repeat = (flag.value for flag in (training_step.BATCH, training_step.LENGTH, training_step.REPEAT))
    compiled = training_step.JIT_COMPILE.value
    # One program for all lengths, so that the base includes its memory; XLA needs a static length.
    program = tf.function(
        training_step.build_step(model),
        input_signature=None if compiled else training_step.signature(None),
        jit_compile=compiled,
        autograph=False,
    )
    return {
        **steps.measure(training_step.run(program), batch, length, repeat),
        **(_errors(model) if _CHECK.value else {}),
        **training_step.facts(model),
        "check": _CHECK.value,
    }


def _errors(model: ReformerCausalLM) -> dict[str, float]:
    """The errors of the first LSH layer of the model."""
    # The references are part of the tests, so the command needs them for this option alone.
    from tests.testing.unblocked import check

    branches = model.backbone.get_layer("stack").branches
    layer = next(branch.layer for branch in branches if isinstance(branch.layer, LSHSelfAttention))
    return check.check(layer, training_step.LENGTH.value, training_step.BATCH.value, training_step.JIT_COMPILE.value)


def main() -> None:
    """Checks the arguments, measures, and prints."""
    with command_line.checking():
        training_step.check()
        if _CHECK.value and "lsh" not in training_step.kinds():
            kinds = training_step.ATTENTION.value
            raise ValueError(f"--check needs a layer of LSH attention. Received: --attention={kinds}")
    print(json.dumps(measure()))


if __name__ == "__main__":
    command_line.run(main)
