"""The duplication table of the Reformer's paper: trained with some rounds of hashing, evaluated with others.

    python -m benchmarks.duplication --output=duplication.jsonl --plot=duplication.png

Models are trained with exact attention and with 4, 2 and 1 rounds of LSH, `--seeds` times each, and evaluated with
exact attention and with 8, 4, 2 and 1 rounds; see `configs/duplication_short.py` for the task and the model. Each is
trained in a process of its own (`benchmarks.points.duplication`), one after another, in a folder of `--workdirs`. The
results are written to `--output` run by run, one JSON object a line; the same command continues with the missing runs,
and a run that was stopped with its newest checkpoint.

The table has the mean accuracy on the second w in percent, and its standard error over seeds and draws of rotations.
Source: Kitaev, Kaiser, Levskaya, 2020, section 5, table 2.
"""

import pathlib

from absl import flags

from benchmarks.measuring import command_line, duplication_flags, points
from benchmarks.measuring.results import Results
from benchmarks.reports import duplication, figures
from compilers.processes import machine
from trainer import atomic

flags.adopt_module_key_flags(duplication_flags)  # For --help.
_SEEDS = flags.DEFINE_integer("seeds", 3, "Runs of each kind of training.", lower_bound=1)
_OUTPUT = flags.DEFINE_string("output", "duplication.jsonl", "File of the results.")
_WORKDIRS = flags.DEFINE_string("workdirs", "duplication_runs", "Folder of the folders of the runs.")
_PLOT = flags.DEFINE_string("plot", None, "PNG file of the plot; none by default.")
_TIMEOUT = command_line.define_timeout()


def main() -> None:
    """Trains and evaluates all models, and prints the table."""
    arguments = command_line.arguments(duplication_flags.NAMES)
    with command_line.checking():
        if arguments["length"] < 16 or arguments["length"] % 2:
            raise ValueError(f"--length must be even and at least 16. Received: {arguments['length']}")
        figures.check(_PLOT.value)
        results = Results(_OUTPUT.value, arguments, machine.describe(), ["trained", "seed"])
    planned = []
    for seed in range(_SEEDS.value):
        for trained in duplication_flags.TRAINED:
            identity = {"trained": trained, "seed": seed}
            workdir = pathlib.Path(_WORKDIRS.value, f"{trained}-{seed}")
            options = command_line.options({**identity, "workdir": workdir, **arguments})
            planned.append(points.Point(identity, ["benchmarks.points.duplication", *options]))
    done = points.run(planned, results, lambda point: points.measure(point, _TIMEOUT.value), duplication.outcome)
    print(f"\nAccuracy in percent, {_SEEDS.value} seed(s), length {arguments['length']}, {arguments['steps']} steps")
    print(duplication.report(done))
    if _PLOT.value:
        with atomic.writing(_PLOT.value) as file:
            duplication.draw(done).savefig(file, format="png", dpi=150)


if __name__ == "__main__":
    command_line.run(main)
