"""Memory and operations of the compiled training step over depth and length, read from XLA's program.

    python -m benchmarks.compiled --depths=2,6,12,24 --lengths=4096 --output=compiled.jsonl

For each size, with reversible layers and without: bytes of temporary buffers, arguments and outputs, operations of
matrix products and others, bytes accessed, and the largest buffers at the peak of temporary memory. Without `--run` no
step is run, so that sizes are possible that would take too long here. The device is the one that TensorFlow finds,
otherwise the CPU. Each point is a process of its own (see `benchmarks.points.compiled`). The results are written to
`--output` point by point, one JSON object a line; the same command continues with the missing points.
"""

import itertools
import sys

from absl import flags

from benchmarks.measuring import command_line, machine, point_process, points
from benchmarks.measuring.results import Results
from benchmarks.reports import compiled

_DEPTHS = flags.DEFINE_list("depths", ["2", "6", "12", "24"], "Layers.")
_LENGTHS = flags.DEFINE_list("lengths", ["4096"], "Tokens of a sequence.")
_REVERSIBLE = flags.DEFINE_list("reversible", ["true", "false"], "Whether the stack saves memory: true, false or both.")
_MODEL = ["width", "heads", "num_hashes", "chunk_length", "batch"]
for _size in _MODEL:
    command_line.define(_size)
_PRECISION = flags.DEFINE_enum("precision", "float32", ["float32", "mixed_bfloat16"], "Dtype policy.")
_RUN = flags.DEFINE_bool("run", False, "Whether the programs are run as well.")
_REPEAT = flags.DEFINE_integer("repeat", 3, "Steps timed with --run, after one that is not.", lower_bound=1)
_TIMEOUT = command_line.define_timeout()
_OUTPUT = flags.DEFINE_string("output", "compiled.jsonl", "File of the results.")


def main() -> None:
    """Measures the missing points, and prints the tables."""
    arguments = command_line.arguments([*_MODEL, "precision", "run", "repeat"])
    with command_line.checking():
        lengths, depths = (command_line.positive_integers(name) for name in ("lengths", "depths"))
        kinds = [kind == "true" for kind in command_line.choices("reversible", ["true", "false"])]
        command_line.check_heads()
        results = Results(_OUTPUT.value, arguments, machine.describe(), ["length", "layers", "reversible"])
    planned = []
    for length, layers, reversible in itertools.product(lengths, depths, kinds):
        identity = {"length": length, "layers": layers, "reversible": reversible}
        options = command_line.options({**identity, **arguments})
        planned.append(points.Point(identity, ["benchmarks.points.compiled", *options], length * layers))
    measured = points.run(planned, results, lambda point: points.measure(point, _TIMEOUT.value), compiled.outcome)
    print(f"\n{compiled.report(measured)}\n\nresults: {results.path}")
    if any(point["status"] != point_process.DONE for point in measured):
        sys.exit(1)


if __name__ == "__main__":
    command_line.run(main)
