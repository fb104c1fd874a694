"""Weights of exact attention in a Performer: bits per byte at once and after a few steps, as in the paper's figure 5.

    python -m benchmarks.performer_weights --output=performer_weights.jsonl

A causal language model of bytes is trained with exact attention on the sources of the Python standard library. Models
with attention by random features begin with its weights (`config.init_from` of the trainer) and train for some steps at
the same rate; beside them exact attention that goes on, and a Performer that begins with random weights. Each is a run
of the trainer in a folder of `--workdirs`, in a process of its own (`benchmarks.points.performer_weights`), one after
another. The results are written to `--output` run by run, one JSON object a line; the same command continues with the
missing runs, and a run that was stopped with its newest checkpoint.

The tables, in Markdown, have the bits per byte of the validation text by the number of steps, and how large the queries
and keys of the trained model are in each layer. Source: Choromanski et al., 2021, "Rethinking Attention with
Performers", section 4.2, figure 5.
"""

import pathlib
import sys
from collections.abc import Iterable
from typing import Any

from absl import flags

from benchmarks.measuring import command_line, performer_flags, points
from benchmarks.measuring.performer_variants import BASE, VARIANTS
from benchmarks.measuring.results import Results
from benchmarks.reports import performer_weights
from compilers.processes import limited_process, machine

flags.adopt_module_key_flags(performer_flags)  # For --help.
_VARIANTS = flags.DEFINE_list("variants", list(VARIANTS), "Models to compare.")
_OUTPUT = flags.DEFINE_string("output", "performer_weights.jsonl", "File of the results.")
_WORKDIRS = flags.DEFINE_string("workdirs", "performer_weights_runs", "Folder of the folders of the runs.")
_TIMEOUT = command_line.define_timeout()


def _point(variant: str) -> points.Point:
    folder = pathlib.Path(_WORKDIRS.value)
    values = {"variant": variant, "base": folder / BASE, "workdir": folder / variant}
    options = command_line.options({**values, **command_line.arguments(performer_flags.NAMES)})
    steps = performer_flags.BASE_STEPS if variant == BASE else performer_flags.STEPS
    return points.Point({"variant": variant}, ["benchmarks.points.performer_weights", *options], steps.value)


def main() -> None:
    """Trains and evaluates all models, and prints the tables."""
    with command_line.checking():
        command_line.check_heads()
        variants = command_line.choices("variants", VARIANTS)
        arguments = command_line.arguments(performer_flags.NAMES)
        results = Results(_OUTPUT.value, arguments, machine.describe(), ["variant"])

    def run(names: Iterable[str]) -> list[dict[str, Any]]:
        planned = [_point(name) for name in names]
        return points.run(
            planned, results, lambda point: points.measure(point, _TIMEOUT.value), performer_weights.outcome
        )

    (base,) = run([BASE])
    if base["status"] != limited_process.DONE:
        sys.exit(f"Error: the model whose weights the others take: {limited_process.failure(base)}")
    print(f"\n{performer_weights.report([base, *run(variants)])}\n\n{performer_weights.norms(base)}")


if __name__ == "__main__":
    command_line.run(main)
