"""Memory and operations of the training step with static shapes, compiled by XLA in a process of its own.

    python -m benchmarks.compiled_point --length=4096 --layers=6 --noreversible

The flags are those of `benchmarks.train_step`; the last line is one JSON object, see
`benchmarks.xla.compiled_program.read`. With `--run` the program is run as well: `step_s` is the median time of a step,
`run_mib` the growth of the peak resident size of the process by running.
"""

import json
import statistics
import time
from typing import Any

import numpy as np
import tensorflow as tf
from absl import app, flags

from benchmarks.measuring import setting
from benchmarks.xla import compiled_program
from trainer.training.memory import peak_mib

_RUN = flags.DEFINE_bool("run", False, "Whether the program is run.")


def measure() -> dict:
    """Compiles the step, and returns the content of the last line."""
    model = setting.build_model()
    step = tf.function(setting.build_step(model), jit_compile=True, autograph=False)
    start = time.perf_counter()
    needs = compiled_program.read(step, *setting.signature(setting.LENGTH.value))
    seconds = time.perf_counter() - start
    ran = _run(step) if _RUN.value else {}
    return {
        **needs,
        "compile_s": seconds,
        **ran,
        "kept_buckets_mib": setting.saved_buckets_mib(),
        "parameters": int(sum(np.prod(v.shape) for v in model.trainable_variables)),
        **setting.arguments(),
    }


def _run(step: Any) -> dict:
    shape = (setting.BATCH.value, setting.LENGTH.value + 1)
    ids = tf.constant(np.random.default_rng(0).integers(0, setting.VOCABULARY_SIZE, shape, dtype=np.int32))
    compiled = step.get_concrete_function(ids, tf.constant([0, 0]))

    def timed(index: int) -> float:
        start = time.perf_counter()
        loss, _ = compiled(ids, tf.constant([0, index]))
        if not np.isfinite(loss.numpy()):
            raise FloatingPointError(f"The loss of step {index} is {loss.numpy()}.")
        return time.perf_counter() - start

    before = peak_mib()
    timed(0)
    seconds = [timed(1 + index) for index in range(setting.REPEAT.value)]
    return {"step_s": statistics.median(seconds), "run_mib": peak_mib() - before}


def main(argv: list[str]) -> None:
    """Checks the arguments, measures, and prints."""
    setting.check(argv)
    print(json.dumps(measure()))


if __name__ == "__main__":
    app.run(main)
