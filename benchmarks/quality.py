"""Bits per byte at equal steps on real text, of both windows of this package and of other implementations.

    python -m benchmarks.quality --subjects=ours,ours:chunk,huggingface --length=4096 --layers=2 --steps=300

What speed was measured with is trained here: same sizes, two rounds, no local round. Each subject is a process of its
own (see `benchmarks.quality_point`, whose flags for sizes and steps are understood here), one after another, `--seeds`
times. All of it is written to `--output` after each; the table at the end has the mean of the seeds and their range.
"""

import json
import pathlib
import sys
from typing import Any

from absl import app, flags

from benchmarks import machine, point_process, quality_report, subjects

# Neither TensorFlow nor PyTorch is imported here: the processes that are started stay apart.
_SUBJECTS = flags.DEFINE_list("subjects", ["ours", "ours:chunk"], "What is trained.")
_SEEDS = flags.DEFINE_integer("seeds", 1, "Runs of each subject.", lower_bound=1)
_OUTPUT = flags.DEFINE_string("output", "quality.json", "File of the results.")
_TIMEOUT = flags.DEFINE_float("timeout", 3600.0, "Seconds after which a run is given up.", lower_bound=1.0)
_NUMBERS = {
    "length": 4096,
    "layers": 2,
    "width": 256,
    "heads": 4,
    "num_hashes": 2,
    "chunk_length": 64,
    "steps": 300,
    "validation_windows": 16,
}
for _name, _default in _NUMBERS.items():
    flags.DEFINE_integer(_name, _default, "See benchmarks.quality_point.", lower_bound=1)
flags.DEFINE_float("learning_rate", 1e-3, "See benchmarks.quality_point.", lower_bound=0.0)


def main(argv: list[str]) -> None:
    """Trains all subjects, and prints the table."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    arguments = {name: flags.FLAGS[name].value for name in (*_NUMBERS, "learning_rate")}
    try:
        trained = [subjects.parse(label) for label in _SUBJECTS.value or []]
        subjects.check_installed(trained)
    except ValueError as error:
        sys.exit(f"Error: {error}")
    about = {"arguments": arguments, "code": machine.code(), "machine": machine.describe()}
    runs: list[dict[str, Any]] = []
    for seed in range(_SEEDS.value):
        for subject in trained:
            options = [f"--{name}={value}" for name, value in arguments.items()]
            command = [sys.executable, "-m", "benchmarks.quality_point", f"--subject={subject.label}", *options]
            found = point_process.run([*command, f"--seed={seed}"], _TIMEOUT.value, 0.9 * machine.memory_mib())
            runs.append({"subject": subject.label, "seed": seed, **found})
            said = found.get("validation_bits", found.get("reason"))
            print(f"{subject.label}, seed {seed}: {said}", flush=True)
            pathlib.Path(_OUTPUT.value).write_text(json.dumps({**about, "runs": runs}, indent=1) + "\n")
    print(f"\nBits per byte after {arguments['steps']} steps of {arguments['length']} bytes")
    print(quality_report.table(runs))


if __name__ == "__main__":
    app.run(main)
