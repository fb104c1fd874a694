"""Bits per byte after equally many steps on real text, of both windows of this package and of other implementations.

    python -m benchmarks.quality --subjects=ours,ours:chunk,huggingface --length=4096 --layers=2 --steps=300

The models are those of the speed measurements: same sizes, two hash rounds, no local round. Each subject is trained in
a process of its own (see `benchmarks.points.quality`, with the same flags for sizes and steps), one after another,
`--seeds` times. The results are written to `--output` run by run, one JSON object a line; the same command continues
with the missing runs. The table at the end has the mean of the seeds and their range.
"""

from absl import flags

from benchmarks.measuring import command_line, points, quality_flags, subjects
from benchmarks.measuring.results import Results
from benchmarks.reports import quality
from compilers.processes import machine

# Neither TensorFlow nor PyTorch is imported here, so that each runs only in processes of its own.
flags.adopt_module_key_flags(quality_flags)  # For --help.
_SUBJECTS = flags.DEFINE_list("subjects", ["ours", "ours:chunk"], "Subjects to train.")
_SEEDS = flags.DEFINE_integer("seeds", 1, "Runs of each subject.", lower_bound=1)
_OUTPUT = flags.DEFINE_string("output", "quality.jsonl", "File of the results.")
_TIMEOUT = command_line.define_timeout()


def main() -> None:
    """Trains all subjects, and prints the table."""
    arguments = command_line.arguments(quality_flags.NAMES)
    with command_line.checking():
        trained = [subjects.parse(label) for label in _SUBJECTS.value or []]
        subjects.check_installed(trained)
        command_line.check_heads()
        results = Results(_OUTPUT.value, arguments, machine.describe(), ["subject", "seed"])
    planned = []
    for seed in range(_SEEDS.value):
        for subject in trained:
            identity = {"subject": subject.label, "seed": seed}
            options = command_line.options({**identity, **arguments})
            planned.append(points.Point(identity, ["benchmarks.points.quality", *options]))
    points.run(planned, results, lambda point: points.measure(point, _TIMEOUT.value), quality.outcome)
    print(f"\nBits per byte after {arguments['steps']} steps of {arguments['length']} bytes")
    print(quality.report(results.points))


if __name__ == "__main__":
    command_line.run(main)
