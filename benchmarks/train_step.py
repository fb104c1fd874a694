"""Time and memory of one training step, forward and backward, of a causal language model over 256 byte values.

    python -m benchmarks.train_step --attention=lsh --length=16384 --layers=6

The last line is one JSON object. `peak_mib` is the peak resident size of the process, `base_mib` its resident size
after one step at length 256, before the long steps; a step needs their difference. Of it, 4 bytes a parameter are
gradients, and `kept_buckets_mib` are the integer buckets that a reversible stack saves.

With `--check`, the model's first LSH layer is then compared with unblocked attention, on as many random inputs and with
the same buckets (see `benchmarks.reference.check`): `check_output_error` and `check_gradient_error`.
"""

import json
import statistics
import time

import numpy as np
import tensorflow as tf
from absl import app, flags

from benchmarks.measuring import setting
from benchmarks.measuring.memory import resident_mib
from benchmarks.reference import check
from reformer_tf.layers import LSHSelfAttention
from reformer_tf.models import ReformerCausalLM
from trainer.training.memory import peak_mib

_SHORT = 256
_CHECK = flags.DEFINE_bool("check", False, "Whether an LSH layer is checked against the unblocked core.")


def measure() -> dict:
    """Builds the model, runs the steps, and returns the content of the last line."""
    model = setting.build_model()
    batch, length = setting.BATCH.value, setting.LENGTH.value
    compiled = setting.JIT_COMPILE.value
    # One program for all lengths, so that the base includes its memory; XLA needs a static length.
    step = tf.function(
        setting.build_step(model),
        input_signature=None if compiled else setting.signature(None),
        jit_compile=compiled,
        autograph=False,
    )

    def timed(ids: np.ndarray, index: int) -> float:
        start = time.perf_counter()
        loss, _ = step(tf.constant(ids), tf.constant([0, index]))
        if not np.isfinite(loss.numpy()):
            raise FloatingPointError(f"The loss of step {index} is {loss.numpy()}.")
        return time.perf_counter() - start

    ids = np.random.default_rng(0).integers(0, setting.VOCABULARY_SIZE, (batch, length + 1), dtype=np.int32)
    timed(ids[:, : min(_SHORT, length) + 1], 0)
    base = resident_mib()
    timed(ids, 1)
    seconds = [timed(ids, 2 + index) for index in range(setting.REPEAT.value)]
    median = statistics.median(seconds)
    peak = peak_mib()
    errors: dict[str, float] = {}
    if _CHECK.value:
        errors = check.check(_lsh_layer(model), length, batch, setting.JIT_COMPILE.value)
    return {
        "tokens_per_s": batch * length / median,
        "step_s": median,
        "peak_mib": peak,
        "base_mib": base,
        "kept_buckets_mib": setting.saved_buckets_mib(),
        "parameters": int(sum(np.prod(v.shape) for v in model.trainable_variables)),
        **errors,
        **setting.arguments(),
        "check": _CHECK.value,
    }


def _lsh_layer(model: ReformerCausalLM) -> LSHSelfAttention:
    """The first LSH layer of the model."""
    branches = model.backbone.get_layer("stack").branches
    return next(branch.layer for branch in branches if isinstance(branch.layer, LSHSelfAttention))


def main(argv: list[str]) -> None:
    """Checks the arguments, measures, and prints."""
    setting.check(argv)
    if _CHECK.value and "lsh" not in setting.kinds():
        raise app.UsageError(f"--check needs a layer of LSH attention. Received: --attention={setting.kinds()}")
    print(json.dumps(measure()))


if __name__ == "__main__":
    app.run(main)
