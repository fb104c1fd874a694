"""CPU time of a small model: of the first step of `fit`, of later steps, and of eager calls.

    python -m benchmarks.first_step --kinds=multi_head,lsh,local,full

For each kind of attention, a classifier of two attention blocks is built and fitted to one batch (`multi_head` is
`keras.layers.MultiHeadAttention`): of several kinds each in a process of its own, a single one in this process. It
prints CPU time, user and system, which hardly depends on other work of the machine, and on few cores is close to the
time that a user waits: a line for each of several kinds, and at last one JSON object by kind: seconds of the first step
(with tracing and compiling), the median of later steps, and the same of eager calls with `--eager_length` tokens.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable

import keras
import numpy as np
from absl import flags

from benchmarks.measuring import command_line, points
from benchmarks.measuring.results import Results
from compilers.processes import limited_process
from reformer_tf.layers import FullSelfAttention, LocalSelfAttention, LSHSelfAttention

_WIDTH, _HEADS, _HEAD_SIZE, _CLASSES = 48, 4, 16, 2


def _multi_head() -> Callable:
    layer = keras.layers.MultiHeadAttention(_HEADS, _HEAD_SIZE)
    return lambda x: layer(x, x)


_LAYERS: dict[str, Callable[[], Callable]] = {
    "multi_head": _multi_head,
    "lsh": lambda: LSHSelfAttention(_HEADS, _HEAD_SIZE, chunk_length=32, num_hashes=4),
    "local": lambda: LocalSelfAttention(_HEADS, _HEAD_SIZE, chunk_length=32),
    "full": lambda: FullSelfAttention(_HEADS, _HEAD_SIZE),
}

_KINDS = flags.DEFINE_list("kinds", list(_LAYERS), f"Kinds of attention, of {', '.join(_LAYERS)}.")
_LENGTH = flags.DEFINE_integer("length", 90, "Tokens of a sequence.", lower_bound=1)
_BATCH = flags.DEFINE_integer("batch", 50, "Rows of a batch.", lower_bound=1)
_EAGER_LENGTH = flags.DEFINE_integer("eager_length", 1000, "Tokens of the one row of an eager call.", lower_bound=1)
_STEPS = flags.DEFINE_integer("steps", 15, "Steps after the first, and eager calls after the first.", lower_bound=1)
_TIMEOUT = command_line.define_timeout()


def _cpu_seconds(call: Callable[[], object]) -> float:
    """The CPU time of a call, user and system."""
    began = time.process_time()
    call()
    return time.process_time() - began


def _classifier(attention: Callable[[], Callable]) -> keras.Model:
    x = inputs = keras.Input((_LENGTH.value, _WIDTH))
    for _ in range(2):
        x = keras.layers.LayerNormalization()(keras.layers.Add()([x, attention()(x)]))
        wide = keras.layers.Dense(2 * _WIDTH, activation="gelu")(x)
        x = keras.layers.LayerNormalization()(keras.layers.Add()([x, keras.layers.Dense(_WIDTH)(wide)]))
    x = keras.layers.Dense(_CLASSES, activation="softmax")(keras.layers.GlobalAveragePooling1D()(x))
    model = keras.Model(inputs, x)
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def measure(kind: str) -> dict[str, float]:
    """Measures one kind of attention in this process, which should be new."""
    keras.utils.set_random_seed(0)
    model, batch, rng = _classifier(_LAYERS[kind]), _BATCH.value, np.random.default_rng(0)
    rows = rng.normal(size=(batch, _LENGTH.value, _WIDTH)).astype("float32")
    labels = rng.integers(0, _CLASSES, batch)
    first = _cpu_seconds(lambda: model.fit(rows, labels, batch_size=batch, verbose=0))
    later = [_cpu_seconds(lambda: model.train_on_batch(rows, labels)) for _ in range(_STEPS.value + 1)][1:]
    layer = _LAYERS[kind]()
    row = keras.ops.convert_to_tensor(rng.normal(size=(1, _EAGER_LENGTH.value, _WIDTH)).astype("float32"))
    eager = [_cpu_seconds(lambda: layer(row)) for _ in range(_STEPS.value + 1)]
    return {
        "first_step": first,
        "step": statistics.median(later),
        "first_eager_call": eager[0],
        "eager_call": statistics.median(eager[1:]),
    }


def main() -> None:
    """Measures one kind in this process, several in processes of their own, and prints the summary."""
    with command_line.checking():
        kinds = command_line.choices("kinds", _LAYERS)
    if len(kinds) == 1:
        print(json.dumps({kinds[0]: measure(kinds[0])}))
        return
    options = command_line.options(command_line.arguments(["length", "batch", "eager_length", "steps"]))
    planned = [points.Point({"kind": kind}, ["benchmarks.first_step", f"--kinds={kind}", *options]) for kind in kinds]
    results = Results(None, {}, {}, ["kind"])

    def outcome(measured: dict) -> str:
        base = results.points[0].get(kinds[0], {})
        times = measured[measured["kind"]].items()
        return ", ".join(f"{name} {time:.4f} s ({time / base.get(name, time):.2f})" for name, time in times)

    measured = points.run(planned, results, lambda point: points.measure(point, _TIMEOUT.value), outcome)
    done = [point for point in measured if point["status"] == limited_process.DONE]
    print(json.dumps({point["kind"]: point[point["kind"]] for point in done}))
    if len(done) < len(kinds):
        sys.exit(1)


if __name__ == "__main__":
    command_line.run(main)
