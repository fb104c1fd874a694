"""CPU time of a small model: of the first step of `fit`, of later steps, and of eager calls.

    python -m benchmarks.first_step --kinds=multi_head,lsh,local,full

For each kind of attention, a process of its own builds a classifier of two attention blocks and fits it to one batch
(`multi_head` is `keras.layers.MultiHeadAttention`). It prints CPU time, user and system, which hardly depends on other
work of the machine, and on few cores is close to the time that a user waits. The last line is one JSON object by kind:
seconds of the first step (with tracing and compiling), the median of later steps, and the same of eager calls with
`--eager_length` tokens.
"""

import json
import multiprocessing

from absl import app, flags

from benchmarks.first_step_point import KINDS, measure

_KINDS = flags.DEFINE_list("kinds", list(KINDS), f"Kinds of attention, of {', '.join(KINDS)}.")
_LENGTH = flags.DEFINE_integer("length", 90, "Tokens of a sequence.", lower_bound=1)
_BATCH = flags.DEFINE_integer("batch", 50, "Rows of a batch.", lower_bound=1)
_EAGER_LENGTH = flags.DEFINE_integer("eager_length", 1000, "Tokens of the one row of an eager call.", lower_bound=1)
_STEPS = flags.DEFINE_integer("steps", 15, "Steps after the first, and eager calls after the first.", lower_bound=1)


def main(argv: list[str]) -> None:
    """Measures all kinds, one after the other, and prints the summary."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    unknown = sorted(set(_KINDS.value) - set(KINDS))
    if unknown:
        raise app.UsageError(f"--kinds must be among {', '.join(KINDS)}. Received: {', '.join(unknown)}")
    settings = (_LENGTH.value, _BATCH.value, _EAGER_LENGTH.value, _STEPS.value)
    summary: dict[str, dict[str, float]] = {}
    for kind in _KINDS.value:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            summary[kind] = pool.apply(measure, (kind, *settings))
        base_seconds = summary[_KINDS.value[0]]
        said = (
            f"{name} {seconds:.4f} s ({seconds / base_seconds[name]:.2f})" for name, seconds in summary[kind].items()
        )
        print(f"{kind}: {', '.join(said)}", flush=True)
    print(json.dumps(summary))


if __name__ == "__main__":
    app.run(main)
