"""Bits per byte after equally many steps on real text, of both windows of this package and of other implementations.

    python -m benchmarks.quality --subjects=ours,ours:chunk,huggingface --length=4096 --layers=2 --steps=300

The models are those of the speed measurements: same sizes, two hash rounds, no local round. Each subject is trained in
a process of its own (see `benchmarks.quality_point`, with the same flags for sizes and steps), one after another,
`--seeds` times. The results are written to `--output` after each run; the same command continues with the missing runs.
The table at the end has the mean of the seeds and their range.
"""

import json
import pathlib
import sys
from typing import Any

from absl import app, flags

from benchmarks.measuring import machine, point_process, quality_flags, size_flags, subjects
from benchmarks.sweeps import quality_report
from trainer import atomic

# Neither TensorFlow nor PyTorch is imported here, so that each runs only in processes of its own.
_SUBJECTS = flags.DEFINE_list("subjects", ["ours", "ours:chunk"], "Subjects to train.")
_SEEDS = flags.DEFINE_integer("seeds", 1, "Runs of each subject.", lower_bound=1)
_OUTPUT = flags.DEFINE_string("output", "quality.json", "File of the results.")
_TIMEOUT = flags.DEFINE_float("timeout", 3600.0, "Seconds after which a run is given up.", lower_bound=1.0)


def _done_before(output: pathlib.Path, about: dict[str, Any]) -> list[dict[str, Any]]:
    """The successful runs of the file; failed runs are tried again.

    Raises:
        ValueError: if it is no such file, or runs were made with other arguments or on another machine.
    """
    if not output.exists():
        return []
    try:
        earlier = json.loads(output.read_text(encoding="utf-8"))
        before, runs = {name: earlier[name] for name in about}, earlier["runs"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"--output must be new or of an earlier run. Received: {output} ({error!r})") from error
    for name, value in about.items():
        if before[name] != value:
            raise ValueError(
                f"{name} must be as in {output}; choose another --output. Received: {value}, there {before[name]}"
            )
    return [run for run in runs if run["status"] == point_process.DONE]


def main(argv: list[str]) -> None:
    """Trains all subjects, and prints the table."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    arguments, output = quality_flags.arguments(), pathlib.Path(_OUTPUT.value)
    try:
        trained = [subjects.parse(label) for label in _SUBJECTS.value or []]
        subjects.check_installed(trained)
        size_flags.check_heads()
        about = {"arguments": arguments, "machine": machine.describe()}
        runs = _done_before(output, about)
    except ValueError as error:
        sys.exit(f"Error: {error}")
    for seed in range(_SEEDS.value):
        for subject in trained:
            if any(run["subject"] == subject.label and run["seed"] == seed for run in runs):
                continue
            options = [f"--{name}={value}" for name, value in arguments.items()]
            command = [sys.executable, "-m", "benchmarks.quality_point", f"--subject={subject.label}", *options]
            found = point_process.run([*command, f"--seed={seed}"], _TIMEOUT.value, 0.9 * machine.memory_mib())
            runs.append({"subject": subject.label, "seed": seed, "code": machine.code(), **found})
            said = found.get("validation_bits", found.get("reason"))
            print(f"{subject.label}, seed {seed}: {said}", flush=True)
            atomic.write_text(output, json.dumps({**about, "runs": runs}, indent=1) + "\n")
    print(f"\nBits per byte after {arguments['steps']} steps of {arguments['length']} bytes")
    print(quality_report.table(runs))


if __name__ == "__main__":
    app.run(main)
