"""Memory and operations of the training step with static shapes, compiled by XLA in a process of its own.

    python -m benchmarks.points.compiled --length=4096 --layers=6 --noreversible
    python -m benchmarks.points.compiled --target=v5e --config=config.json

The step is that of the flags, which are those of `benchmarks.train_step`, or that of the config of a run, see
`compilers.steps.config_step`. The last line is one JSON object, see `compilers.steps.compiled_program.read`
for this machine and `compilers.steps.chip_program.read` for a chip. With `--run`, only on this machine, the
program is run as well: `step_s` is the median time of a step, `run_mib` the growth of the peak resident size of the
process by running.
"""

import json
import sys
import time
from typing import Any

from absl import flags

from benchmarks.measuring import command_line, steps, training_step
from compilers.chips.registry import CHIPS, HERE
from compilers.processes import parent_process
from compilers.steps import chip_program, compiled_program, config_step
from compilers.steps.step_to_compile import StepToCompile
from trainer.config import read_config
from trainer.training.memory import peak_mib

flags.adopt_module_key_flags(training_step)  # For --help.
_RUN = flags.DEFINE_bool("run", False, "Whether the program is run.")
_TARGET = flags.DEFINE_enum("target", HERE, [HERE, *CHIPS], "What the step is compiled for.")
_CONFIG = flags.DEFINE_string("config", None, "The config.json of the run whose step is compiled.")
_PYTHON = flags.DEFINE_string("python", sys.executable, "Python of the environment that compiles for a chip.")


def measure(step: StepToCompile) -> dict[str, Any]:
    """Compiles the step, and returns the content of the last line."""
    if _TARGET.value != HERE:
        return {**step.facts, **chip_program.read(step, _TARGET.value, _PYTHON.value)}
    start = time.perf_counter()
    needs = compiled_program.read(step.function, *step.signature)
    seconds = time.perf_counter() - start
    ran = _run(step.function.get_concrete_function(*step.signature)) if _RUN.value else {}
    return {**needs, "compile_s": seconds, **ran, **step.facts}


def _step() -> StepToCompile:
    if _CONFIG.value is not None:
        return config_step.make(read_config(_CONFIG.value))
    training_step.check()
    return training_step.to_compile(training_step.build_model())


def _run(program: Any) -> dict[str, float]:
    step, ids = training_step.run(program), steps.random_ids(training_step.BATCH.value, training_step.LENGTH.value)
    before = peak_mib()
    steps.timed(step, ids, 0)
    seconds = steps.median_seconds(step, ids, 1, training_step.REPEAT.value)
    return {"step_s": seconds, "run_mib": peak_mib() - before}


def main() -> None:
    """Checks the arguments, measures, and prints."""
    with command_line.checking():
        step = _step()
    print(json.dumps(measure(step)))


if __name__ == "__main__":
    parent_process.end_with_it()
    command_line.run(main)
