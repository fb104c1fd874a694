"""Errors of the gradients of a half-precision model against float32, for each weight, over the length.

    python -m tests.half_precision --lengths=4096,65536 --precisions=mixed_bfloat16,mixed_float16

A causal language model of text is differentiated in float32, and in half precision with the same weights, seed and
buckets: once unchanged, and once with the sums of its weights' gradients in float64. The rounding of single numbers
does not grow with the sequence, but errors of sums in half precision would. A weight counts if its gradient is at least
a thousandth of the largest; its error is the norm of the difference over the norm of the float32 gradient. The last
line is one JSON object; `growth` is the largest ratio of a weight's error at the last length to that at the first,
`beyond_float64_sums` the largest excess of an error over the error with sums in float64, and `product_rounding` the
error of rounding one product, which bounds that excess where the sums are made in float32.
"""

import json
from collections.abc import Sequence

import numpy as np
from absl import app, flags

from tests.half_precision import gradient_errors

LENGTHS = flags.DEFINE_list("lengths", ["4096", "65536"], "Tokens of a sequence.")
PRECISIONS = flags.DEFINE_list("precisions", ["mixed_bfloat16", "mixed_float16"], "Dtype policies.")
LAYERS = flags.DEFINE_integer("layers", 12, "Blocks.", lower_bound=1)
WIDTH = flags.DEFINE_integer("width", 256, "Width of a stream; heads have 64.", lower_bound=64)
ATTENTION = flags.DEFINE_list("attention", ["local", "lsh"], "Kinds, repeated over the layers.")
JIT_COMPILE = flags.DEFINE_bool("jit_compile", False, "Whether XLA compiles the step.")
BIASES = flags.DEFINE_bool("biases", True, "Whether the projections of attention have biases.")
# The usual initial loss scale, which only float16 needs.
LOSS_SCALE = 2.0**15


def measure(length: int, longest: int, precisions: Sequence[str]) -> dict[str, dict[str, dict[str, float]]]:
    """The error of each weight that counts, by precision and by the sums (`"as_it_is"`, `"float64_sums"`).

    Args:
        length: of the sequence.
        longest: the longest sequence that the model takes.
        precisions: dtype policies.
    """
    ids = gradient_errors.text(length)

    def run(dtype: str, buckets: list[np.ndarray] | None) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
        model = gradient_errors.build(dtype, LAYERS.value, WIDTH.value, longest, ATTENTION.value, BIASES.value)
        scale = LOSS_SCALE if dtype == "mixed_float16" else 1.0
        return gradient_errors.gradients(model, ids, buckets, JIT_COMPILE.value, scale)

    exact, buckets = run("float32", None)
    names = gradient_errors.counting(exact)
    results = {}
    for dtype in precisions:
        as_it_is, _ = run(dtype, buckets)
        with gradient_errors.float64_sums():
            reference, _ = run(dtype, buckets)
        found = {
            "as_it_is": gradient_errors.errors(exact, as_it_is),
            "float64_sums": gradient_errors.errors(exact, reference),
        }
        results[dtype] = {kind: {name: by_kind[name] for name in names} for kind, by_kind in found.items()}
        worst = {kind: max(by_kind.values()) for kind, by_kind in results[dtype].items()}
        print(f"{length} tokens, {dtype}: {len(names)} weights count, largest errors {worst}", flush=True)
    return results


def main(argv: list[str]) -> None:
    """Measures all lengths, prints the weights whose errors grow most and the summary."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    lengths = [int(x) for x in LENGTHS.value]
    measured = {length: measure(length, max(lengths), PRECISIONS.value) for length in lengths}
    summary = {}
    for dtype in PRECISIONS.value:
        first, last = (measured[length][dtype] for length in (lengths[0], lengths[-1]))
        both = [name for name in first["as_it_is"] if name in last["as_it_is"]]
        growths = {name: last["as_it_is"][name] / first["as_it_is"][name] for name in both}
        for name in sorted(both, key=lambda name: -growths[name])[:10]:
            row = [f"{by_kind[kind][name]:.5f}" for by_kind in (first, last) for kind in ("as_it_is", "float64_sums")]
            print(dtype, f"{growths[name]:.3f}", *row, name)
        summary[dtype] = {
            "weights": len(both),
            "largest_error": {length: max(measured[length][dtype]["as_it_is"].values()) for length in lengths},
            "growth": max(growths.values()),
            "beyond_float64_sums": max(
                x - by_dtype[dtype]["float64_sums"][name]
                for by_dtype in measured.values()
                for name, x in by_dtype[dtype]["as_it_is"].items()
            ),
            "product_rounding": gradient_errors.product_rounding(dtype, JIT_COMPILE.value),
        }
    print(json.dumps({"jit_compile": JIT_COMPILE.value, "layers": LAYERS.value, "width": WIDTH.value, **summary}))


if __name__ == "__main__":
    app.run(main)
