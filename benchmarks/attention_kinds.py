"""All registered kinds of attention beside each other: time, memory, decoding, and what a small model learns with them.

    python -m benchmarks.attention_kinds --output=attention_kinds.jsonl --memory_limit_mib=20000 --timeout=900
    python -m benchmarks.attention_kinds --measure=layer --kinds=full,local --lengths=1024,4096 --peer=

Three things are measured, each setting in a process of its own, no two at once:

- `layer`: time and peak memory of one causal layer, forward and backward, over `--lengths`. Other implementations stand
  beside it where they are installed: `keras` is `keras.layers.MultiHeadAttention`, which is exact and has a matrix of
  all pairs; `performer_pytorch` the causal `SelfAttention` of performer-pytorch, without its CUDA kernel.
- `decoding`: time of one more token, and the size of what a layer stores, over the `--contexts` decoded before.
- `quality`: bits per byte of held-out text of a small causal model with all layers of one kind, after `--steps`, and
  after the time that the fastest kind takes for them. The text and the training are those of `benchmarks.quality`. The
  rate of Adam is the best of `--rates` for each kind at seed 0; the other `--seeds` are trained at that rate.

A kind has the arguments that it gets in a model. Kinds that attend in both directions only are measured like that, and
neither decode nor train here. What takes more than `--timeout` seconds or `--memory_limit_mib` is given up; larger
sizes of it are not tried, and the tables say so. The results are written to `--output` point by point, one JSON object
a line; the same command continues with the missing points. The tables are in Markdown. The plot needs
`pip install -e ".[benchmarks]"`.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from absl import flags

from benchmarks.measuring import command_line, layer_flags, layer_subjects, points, subjects, sweep
from benchmarks.measuring.layer_subjects import LayerSubject
from benchmarks.measuring.results import Results
from benchmarks.reports import attention_kinds, figures, kinds_plot, kinds_quality
from benchmarks.reports.attention_kinds import DECODING, LAYER, QUALITY
from compilers.processes import machine
from trainer import atomic

# This process stays small, to leave the memory of the machine to the processes that it starts.

flags.adopt_module_key_flags(layer_flags)  # For --help.
_MEASURE = flags.DEFINE_list("measure", [LAYER, DECODING, QUALITY], "What is measured.")
_KINDS = flags.DEFINE_list("kinds", [], "Registered kinds to compare; all by default.")
_PEER = flags.DEFINE_list(
    "peer", None, f"Other implementations, of {sorted(layer_subjects.PEERS)}; those that are installed by default."
)
_LENGTHS = flags.DEFINE_list("lengths", ["1024", "4096", "16384", "65536"], "Lengths of a layer's sequence.")
_CONTEXTS = flags.DEFINE_list("contexts", ["1024", "4096", "16384", "65536"], "Tokens before the one decoded.")
_REPEATS = flags.DEFINE_integer("repeats", 1, "Processes for each layer and size, subjects alternating.", lower_bound=1)
_REPEAT = flags.DEFINE_integer("repeat", 5, "Most repetitions timed in a process.", lower_bound=1)
_TIMED_TOKENS = flags.DEFINE_integer(
    "timed_tokens", 131072, "Most tokens of a layer timed in a process, if not a single repetition.", lower_bound=1
)
_TOKENS = flags.DEFINE_integer("tokens", 20, "New tokens of a repetition of decoding.", lower_bound=1)
_TRAINING_LENGTH = flags.DEFINE_integer("training_length", 2048, "Bytes of a training example.", lower_bound=1)
_LAYERS = command_line.define("layers", 2)
_STEPS = flags.DEFINE_integer("steps", 600, "Steps of a training.", lower_bound=1)
_VALIDATION_WINDOWS = flags.DEFINE_integer("validation_windows", 16, "Windows to validate on.", lower_bound=1)
_EVALUATIONS = flags.DEFINE_integer("evaluations", 12, "Validations of a training.", lower_bound=1)
_RATES = flags.DEFINE_list("rates", ["3e-4", "1e-3", "3e-3"], "Learning rates to choose from.")
_SEEDS = flags.DEFINE_integer("seeds", 2, "Trainings of each kind at its rate.", lower_bound=1)
_TRAIN_PEERS = flags.DEFINE_bool("train_peers", False, "Whether performer_pytorch is trained too, which takes long.")
_TIMEOUT = command_line.define_timeout()
_MEMORY_LIMIT = command_line.define_memory_limit()
_RETRY_FAILED = flags.DEFINE_bool("retry_failed", False, "Whether points that were given up are tried again.")
_OUTPUT = flags.DEFINE_string("output", "attention_kinds.jsonl", "File of the results.")
_PLOT = flags.DEFINE_string("plot", None, "PNG file; by default --output with that ending. Empty for none.")

_ARGUMENTS = [*layer_flags.NAMES, "repeat", "timed_tokens", "tokens", "steps", "validation_windows", "evaluations"]
_IDENTITY = ["measured", "subject", "length", "layers", "round", "rate", "seed"]


def _layers(compared: Sequence[LayerSubject], lengths: Iterable[int]) -> Iterator[points.Point]:
    """The points of one layer."""
    for subject, identity in sweep.plan(compared, [(length, 1) for length in lengths], _REPEATS.value):
        length = identity["length"]
        repeat = max(1, min(_REPEAT.value, _TIMED_TOKENS.value // length))
        values = {"subject": subject.label, "length": length, "repeat": repeat}
        yield _point(LAYER, identity, "attention_layer", {**values, **command_line.arguments(layer_flags.NAMES)})


def _decoding(compared: Sequence[LayerSubject], contexts: Iterable[int]) -> Iterator[points.Point]:
    """The points of decoding, of the subjects that can."""
    able = [subject for subject in compared if not subject.without_decoding]
    for subject, identity in sweep.plan(able, [(context, 1) for context in contexts], _REPEATS.value):
        values = {"subject": subject.label, "context": identity["length"], "repeat": _REPEAT.value}
        values |= command_line.arguments(["tokens", *layer_flags.NAMES])
        yield _point(DECODING, identity, "attention_decoding", values)


def _training(subject: LayerSubject, rate: float, seed: int) -> points.Point:
    """The point of a training."""
    sizes = {"length": _TRAINING_LENGTH.value, "layers": _LAYERS.value}
    values = {
        **sizes,
        **command_line.arguments(["heads", "num_hashes", "chunk_length", "steps", "validation_windows", "evaluations"]),
        "width": layer_flags.HEADS.value * layer_flags.KEY_DIM.value,
        "learning_rate": rate,
        "seed": seed,
        **({"subject": subject.label} if subject.peer else {"attention": subject.label, "default_layers": True}),
    }
    return _point(QUALITY, {"subject": subject.label, **sizes, "rate": rate, "seed": seed}, "quality", values)


def _point(measured: str, identity: dict[str, Any], module: str, values: dict[str, Any]) -> points.Point:
    command = [f"benchmarks.points.{module}", *command_line.options(values)]
    return points.Point({"measured": measured, **identity}, command, identity["length"])


def _run(planned: Sequence[points.Point], results: Results) -> list[dict[str, Any]]:
    """Measures the points that are missing; what was given up at a size is not tried at larger ones."""
    identities = [point.identity for point in planned]

    def measure(point: points.Point) -> dict[str, Any]:
        skipped = sweep.skip(point.identity, identities, results)
        return skipped or points.measure(point, _TIMEOUT.value, _MEMORY_LIMIT.value)

    return points.run(planned, results, measure, attention_kinds.outcome, _RETRY_FAILED.value)


def _train(trained: Sequence[LayerSubject], rates: Sequence[float], results: Results) -> None:
    """Trains at all rates, and then at the best rate of each kind with other seeds."""
    tuning = [_training(subject, rate, kinds_quality.TUNED) for subject in trained for rate in rates]
    best = kinds_quality.best_rates(_run(tuning, results))
    seeds = [seed for seed in range(_SEEDS.value) if seed != kinds_quality.TUNED]
    _run([_training(s, best[s.label], seed) for seed in seeds for s in trained if s.label in best], results)


def _rates() -> list[float]:
    """The learning rates to choose from.

    Raises:
        ValueError: if one is no positive number, or there is none.
    """
    received = _RATES.value or []
    try:
        rates = [float(rate) for rate in received]
    except ValueError:
        rates = []
    if not rates or not all(0 < rate < float("inf") for rate in rates):
        raise ValueError(f"--rates must be positive numbers. Received: {received}")
    return list(dict.fromkeys(rates))


def main() -> None:
    """Measures the missing points, and prints the tables."""
    with command_line.checking():
        measured = command_line.choices("measure", [LAYER, DECODING, QUALITY])
        lengths, contexts, rates = *map(command_line.positive_integers, ("lengths", "contexts")), _rates()
        picture = figures.path(_PLOT.value, _OUTPUT.value)
        peers = layer_subjects.installed_peers() if _PEER.value is None else _PEER.value
        compared = layer_subjects.choose(layer_subjects.registered(), _KINDS.value or [], peers)
        arguments = command_line.arguments(_ARGUMENTS)
        results = Results(_OUTPUT.value, arguments, machine.describe(), _IDENTITY)
    trainable = [s for s in compared if not s.peer or (_TRAIN_PEERS.value and s.label in subjects.PEERS)]
    if LAYER in measured:
        _run([*_layers(compared, lengths)], results)
    if DECODING in measured:
        _run([*_decoding(compared, contexts)], results)
    if QUALITY in measured:
        _train([subject for subject in trainable if subject.causal], rates, results)
    own = [point for point in results.points if point["measured"] != QUALITY or _is_of(point)]
    print(f"\n{attention_kinds.report(compared, own, measured, _STEPS.value)}\n\nresults: {results.path}")
    if picture:
        with atomic.writing(picture) as file:
            kinds_plot.draw(own).savefig(file, format="png", dpi=120)
        print(f"plot: {picture}")
    else:
        print("plot: none (matplotlib is not installed, or --plot is empty)")


def _is_of(training: dict[str, Any]) -> bool:
    """Whether a training has the sizes that the flags ask for."""
    return (training["length"], training["layers"]) == (_TRAINING_LENGTH.value, _LAYERS.value)


if __name__ == "__main__":
    command_line.run(main)
