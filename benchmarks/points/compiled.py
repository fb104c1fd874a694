"""Memory and operations of the training step with static shapes, compiled by XLA in a process of its own.

    python -m benchmarks.points.compiled --length=4096 --layers=6 --noreversible

The flags are those of `benchmarks.train_step`; the last line is one JSON object, see
`benchmarks.measuring.compiled_program.read`. With `--run` the program is run as well: `step_s` is the median time of a
step, `run_mib` the growth of the peak resident size of the process by running.
"""

import json
import statistics
import time
from typing import Any

import tensorflow as tf
from absl import flags

from benchmarks.measuring import command_line, compiled_program, steps, training_step
from trainer.training.memory import peak_mib

flags.adopt_module_key_flags(training_step)  # For --help.
_RUN = flags.DEFINE_bool("run", False, "Whether the program is run.")


def measure() -> dict[str, Any]:
    """Compiles the step, and returns the content of the last line."""
    model = training_step.build_model()
    step = tf.function(training_step.build_step(model), jit_compile=True, autograph=False)
    signature = training_step.signature(training_step.LENGTH.value)
    start = time.perf_counter()
    needs = compiled_program.read(step, *signature)
    seconds = time.perf_counter() - start
    return {
        **needs,
        "compile_s": seconds,
        **(_run(step.get_concrete_function(*signature)) if _RUN.value else {}),
        "kept_buckets_mib": training_step.saved_buckets_mib(),
        "parameters": training_step.parameters(model),
        **training_step.arguments(),
    }


def _run(program: Any) -> dict[str, float]:
    step, ids = training_step.run(program), steps.random_ids(training_step.BATCH.value, training_step.LENGTH.value)
    before = peak_mib()
    steps.timed(step, ids, 0)
    seconds = [steps.timed(step, ids, 1 + index) for index in range(training_step.REPEAT.value)]
    return {"step_s": statistics.median(seconds), "run_mib": peak_mib() - before}


def main() -> None:
    """Checks the arguments, measures, and prints."""
    with command_line.checking():
        training_step.check()
    print(json.dumps(measure()))


if __name__ == "__main__":
    command_line.run(main)
