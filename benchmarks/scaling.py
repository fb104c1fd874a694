"""Time per token and memory of a training step over length and over depth, compared with other implementations.

    python -m benchmarks.scaling --lengths=1024,4096,16384 --depths=2,6,12 --output=scaling.json \
        --peer=huggingface --peer=lucidrains --peer=torch_exact --precision=float32,bfloat16 --repeats=3

Subjects: `ours`; `ours_plain`, the same without reversible layers; `keras_attention`, the same with exact attention by
`keras.layers.MultiHeadAttention`; and, with `--peer`, `huggingface`, `lucidrains` and `torch_exact`, where PyTorch and
their packages are installed. Each may be followed by a precision, ours also by a window: `ours:chunk:bfloat16`; without
them a subject is measured in each `--precision` (and `--window`). Each point is a process of its own, and no two run at
once. The results are written to `--output` after each point; the same command continues with the missing points. The
plot needs `pip install -e ".[benchmarks]"`.
"""

import importlib.util
import os
import pathlib
import signal
import sys
from typing import Any

from absl import app, flags

from benchmarks.measuring import machine, point_process, size_flags, subjects
from benchmarks.sweeps import plot, report, summary, sweep
from benchmarks.sweeps.results import Results

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
    size_flags.define(_size)
_REPEATS = flags.DEFINE_integer("repeats", 1, "Repetitions, in which subjects alternate.", lower_bound=1)
_STEPS = flags.DEFINE_integer("steps", 8, "Most steps timed in a process.", lower_bound=1)
_TOKENS = flags.DEFINE_integer("tokens", 131072, "Most tokens timed in a process, if not a single step.", lower_bound=1)
_TIMEOUT = flags.DEFINE_float("timeout", 3600.0, "Seconds after which a point is given up.", lower_bound=1.0)
_MEMORY_LIMIT = flags.DEFINE_float(
    "memory_limit_mib", None, "Resident size at which a point is given up; 0.9 of the machine's memory by default."
)
_RETRY_FAILED = flags.DEFINE_bool("retry_failed", False, "Whether points that were given up are tried again.")
_OUTPUT = flags.DEFINE_string("output", "scaling.json", "File of the results.")
_PLOT = flags.DEFINE_string("plot", None, "PNG file; by default --output with that ending. Empty for none.")

# The start of a process in the estimate of the time left, in tokens times layers.
_START = 50_000
# The length at which exact attention takes about as long as the rest of a layer.
_AS_MUCH = 4096
_FIXED = [*_MODEL, "steps", "tokens"]
_ARGUMENTS = [
    *_FIXED,
    "layers",
    "lengths",
    "depths",
    "depth_length",
    "subjects",
    "peer",
    "precision",
    "window",
    "repeats",
    "timeout",
    "memory_limit_mib",
]


def command(point: sweep.Point) -> list[str]:
    """The command that measures a point."""
    module, *options = point.subject.command()
    sizes = [f"--{name}={flags.FLAGS[name].value}" for name in _MODEL]
    sizes += [f"--length={point.length}", f"--layers={point.layers}", f"--repeat={_timed_steps(point)}"]
    return [sys.executable, "-m", module, *options, *sizes]


def _timed_steps(point: sweep.Point) -> int:
    return max(1, min(_STEPS.value, _TOKENS.value // (flags.FLAGS.batch * point.length)))


def _work(point: sweep.Point) -> float:
    """An estimate of a point's time: the start of the process and all steps, the one that is not timed included."""
    tokens = (1 + _timed_steps(point)) * flags.FLAGS.batch * point.length
    return _START + tokens * point.layers * (1 + point.length / _AS_MUCH if point.subject.exact else 1)


def _points() -> list[sweep.Point]:
    """The points that the flags ask for.

    Raises:
        ValueError: if a flag cannot be used.
    """
    lengths, depths = (_integers(name) for name in ("lengths", "depths"))
    for name, allowed in (("precision", subjects.PRECISIONS), ("window", subjects.WINDOWS)):
        chosen = flags.FLAGS[name].value
        if not chosen or set(chosen) - set(allowed):
            raise ValueError(f"--{name} must be of {allowed}. Received: {chosen}")
    size_flags.check_heads()
    peers = [label for labels in _PEER.value or [] for label in labels.split(",")]
    wrong = [label for label in peers if label.split(":")[0] not in subjects.PEERS]
    if wrong:
        raise ValueError(f"--peer must be of {sorted(subjects.PEERS)}. Received: {wrong}")
    compared = subjects.expand([*(_SUBJECTS.value or []), *peers], _PRECISION.value or [], _WINDOW.value or [])
    subjects.check_installed(compared)
    sizes = [(length, _LAYERS.value) for length in lengths] + [(_DEPTH_LENGTH.value, depth) for depth in depths]
    return sweep.plan(compared, sorted(sizes, key=lambda size: size[0] * size[1]), _REPEATS.value)


def _integers(name: str) -> list[int]:
    values: list[str] = flags.FLAGS[name].value or []
    if not all(value.strip().isdigit() and int(value) > 0 for value in values):
        raise ValueError(f"--{name} must be positive integers. Received: {values}")
    return sorted({int(value) for value in values})


def _plot_path() -> pathlib.Path | None:
    """The file of the plot, or None.

    Raises:
        ValueError: if one was asked for and cannot be drawn.
    """
    if _PLOT.value == "":
        return None
    if importlib.util.find_spec("matplotlib") is None:
        if _PLOT.value:
            raise ValueError(f"--plot needs matplotlib. Received: --plot={_PLOT.value}, without it")
        return None
    return pathlib.Path(_PLOT.value) if _PLOT.value else pathlib.Path(_OUTPUT.value).with_suffix(".png")


def main(argv: list[str]) -> None:
    """Measures the missing points, and prints the tables."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    arguments = {name: flags.FLAGS[name].value for name in _ARGUMENTS}
    limit = _MEMORY_LIMIT.value or 0.9 * machine.memory_mib()
    try:
        points, picture = _points(), _plot_path()
        results = Results(pathlib.Path(_OUTPUT.value), arguments, _FIXED, machine.describe())
        results.write()
    except (ValueError, OSError) as error:
        sys.exit(f"Error: {error}")

    def measure(point: sweep.Point) -> dict[str, Any]:
        # The load before the point shows other work, which slows down frameworks unequally.
        about = {"code": machine.code(), "load_before": os.getloadavg()[0]}
        return {**about, **point_process.run(command(point), _TIMEOUT.value, limit)}

    # Exits by an exception, so that the running process is killed too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sweep.run(points, results, measure, _work, _RETRY_FAILED.value, lambda line: print(line, flush=True))
    summarized = summary.summarize(results.measurements)
    print(f"\n{report.report(summarized, _LAYERS.value, _DEPTH_LENGTH.value)}\n\nresults: {results.path}")
    versions = {m["code"] for m in results.measurements if m.get("code")}
    if len(versions) > 1:
        print(f"The points were measured with different sources: {sorted(versions)}")
    if picture:
        plot.plot(summarized, _LAYERS.value, _DEPTH_LENGTH.value, picture)
        print(f"plot: {picture}")
    else:
        print("plot: none (matplotlib is not installed, or --plot is empty)")


if __name__ == "__main__":
    app.run(main)
