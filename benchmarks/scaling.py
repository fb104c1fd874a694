"""Time per token and memory of a training step over length and over depth, compared with other implementations.

    python -m benchmarks.scaling --lengths=1024,4096,16384 --depths=2,6,12 --output=scaling.jsonl \
        --peer=huggingface --peer=lucidrains --peer=torch_exact --precision=float32,bfloat16 --repeats=3

Subjects: `ours`; `ours_plain`, the same without reversible layers; `keras_attention`, the same with exact attention by
`keras.layers.MultiHeadAttention`; and, with `--peer`, `huggingface`, `lucidrains`, `performer_pytorch` and
`torch_exact`, where PyTorch and their packages are installed. Each may be followed by a precision, ours also by a
window: `ours:chunk:bfloat16`; without them a subject is measured in each `--precision` (and `--window`). Each point is
a process of its own, and no two run at once. The results are written to `--output` point by point, one JSON object a
line; the same command continues with the missing points. The last line is one JSON object: medians, ratios and
crossovers. The plot needs `pip install -e ".[benchmarks]"`.
"""

import json
from typing import Any

from absl import flags

from benchmarks.measuring import command_line, points, subjects, sweep
from benchmarks.measuring.results import Results
from benchmarks.reports import figures, scaling, scaling_plot, summary
from compilers.processes import machine

# This process stays small, to leave the memory of the machine to the processes that it starts: neither TensorFlow nor
# matplotlib is imported before the last point is done.

_LENGTHS = flags.DEFINE_list("lengths", ["1024", "2048", "4096", "8192", "16384", "32768", "65536"], "Lengths.")
_DEPTHS = flags.DEFINE_list("depths", [], "Depths to measure at --depth_length; none by default.")
_DEPTH_LENGTH = flags.DEFINE_integer("depth_length", 4096, "Length at which depths are compared.", lower_bound=1)
_SUBJECTS = flags.DEFINE_list("subjects", ["ours", "ours_plain", "keras_attention"], "Subjects to measure.")
_PEER = flags.DEFINE_multi_string("peer", [], f"Other implementations, {sorted(subjects.PEERS)}: a list, or repeated.")
_PRECISION = flags.DEFINE_list("precision", ["float32"], f"Of {subjects.PRECISIONS}.")
_WINDOW = flags.DEFINE_list("window", ["bucket"], f"Of {subjects.WINDOWS}.")
_LAYERS = flags.DEFINE_integer("layers", 6, "Layers at which lengths are compared.", lower_bound=1)
_MODEL = ["width", "heads", "num_hashes", "chunk_length", "batch"]
for _size in _MODEL:
    command_line.define(_size)
_REPEATS = flags.DEFINE_integer("repeats", 1, "Repetitions, in which subjects alternate.", lower_bound=1)
_STEPS = flags.DEFINE_integer("steps", 8, "Most steps timed in a process.", lower_bound=1)
_TOKENS = flags.DEFINE_integer("tokens", 131072, "Most tokens timed in a process, if not a single step.", lower_bound=1)
_TIMEOUT = command_line.define_timeout()
_MEMORY_LIMIT = command_line.define_memory_limit()
_RETRY_FAILED = flags.DEFINE_bool("retry_failed", False, "Whether points that were given up are tried again.")
_OUTPUT = flags.DEFINE_string("output", "scaling.jsonl", "File of the results.")
_PLOT = flags.DEFINE_string("plot", None, "PNG file; by default --output with that ending. Empty for none.")

# The start of a process in the estimate of the time left, in tokens times layers.
_START = 50_000
# The length at which exact attention takes about as long as the rest of a layer.
_AS_MUCH = 4096


def _point(subject: subjects.Subject, identity: dict[str, Any]) -> points.Point:
    """The point of a subject at the size of its identity."""
    length, layers = identity["length"], identity["layers"]
    tokens = flags.FLAGS.batch * length
    steps = max(1, min(_STEPS.value, _TOKENS.value // tokens))
    sizes = {**command_line.arguments(_MODEL), "length": length, "layers": layers, "repeat": steps}
    # All steps take time, the one that is not timed included.
    work = (1 + steps) * tokens * layers * (1 + length / _AS_MUCH if subject.exact else 1)
    return points.Point(identity, [*subject.command(), *command_line.options(sizes)], _START + work)


def _points() -> list[points.Point]:
    """The points that the flags ask for.

    Raises:
        ValueError: if a flag cannot be used.
    """
    lengths, depths = (command_line.positive_integers(name, may_be_empty=True) for name in ("lengths", "depths"))
    precisions = command_line.choices("precision", subjects.PRECISIONS)
    windows = command_line.choices("window", subjects.WINDOWS)
    command_line.check_heads()
    peers = [label for labels in _PEER.value or [] for label in labels.split(",")]
    wrong = [label for label in peers if label.split(":")[0] not in subjects.PEERS]
    if wrong:
        raise ValueError(f"--peer must be of {sorted(subjects.PEERS)}. Received: {wrong}")
    compared = subjects.expand([*(_SUBJECTS.value or []), *peers], precisions, windows)
    subjects.check_installed(compared)
    sizes = [(length, _LAYERS.value) for length in lengths] + [(_DEPTH_LENGTH.value, depth) for depth in depths]
    planned = sweep.plan(compared, sorted(sizes, key=lambda size: size[0] * size[1]), _REPEATS.value)
    return [_point(subject, identity) for subject, identity in planned]


def main() -> None:
    """Measures the missing points, and prints the tables."""
    with command_line.checking():
        planned, picture = _points(), figures.path(_PLOT.value, _OUTPUT.value)
        fixed = command_line.arguments([*_MODEL, "steps", "tokens"])
        results = Results(_OUTPUT.value, fixed, machine.describe(), ["subject", "length", "layers", "round"])

    def measure(point: points.Point) -> dict[str, Any]:
        skipped = sweep.skip(point.identity, (each.identity for each in planned), results)
        return skipped or points.measure(point, _TIMEOUT.value, _MEMORY_LIMIT.value)

    points.run(planned, results, measure, scaling.outcome, _RETRY_FAILED.value)
    summarized = summary.summarize(results.points)
    print(f"\n{scaling.report(summarized, _LAYERS.value, _DEPTH_LENGTH.value)}\n\nresults: {results.path}")
    versions = {point["code"] for point in results.points if point.get("code")}
    if len(versions) > 1:
        print(f"The points were measured with different sources: {sorted(versions)}")
    if picture:
        figure = scaling_plot.draw(summarized, _LAYERS.value, _DEPTH_LENGTH.value)
        figure.savefig(picture, dpi=120, format="png")
        print(f"plot: {picture}")
    else:
        print("plot: none (matplotlib is not installed, or --plot is empty)")
    print(json.dumps(summarized))


if __name__ == "__main__":
    command_line.run(main)
