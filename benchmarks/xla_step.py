"""Compiles the complete training step by XLA with static shapes, as for a TPU, and lists its operations.

    python -m benchmarks.xla_step --length=256 --attention=lsh,local,full --optimizer=adafactor

Gradients, clipping, the check for finite numbers and the optimizer's update are one program with static shapes. The
command prints its operations, the types of its numbers, its memory as planned by the compiler, and everything that a
TPU would not take: operations that TensorFlow does not register for XLA (the list is that of XLA on CPU, the one for
TPUs is not in the package), shapes that are not static, calls to the host. It returns 1 if there is any of these. The
last line is one JSON object. With `--run` so many steps are made, by the compiled program and without compiling.
"""

import json
import sys
import time
from typing import Any

import keras
from absl import app, flags

from benchmarks.measuring import our_model, setting, size_flags
from benchmarks.xla import compiled_program, whole_step, xla_ops
from reformer_tf.models import ReformerCausalLM
from trainer.optimization import optimizer

_OPTIMIZER = flags.DEFINE_enum("optimizer", "adam", optimizer.OPTIMIZERS, "Optimizer.")
_DROPOUT = flags.DEFINE_float("dropout", 0.1, "Fraction to drop, of activations and of attention.", 0.0, 0.99)
_PARTS = flags.DEFINE_integer("accumulation_steps", 1, "Parts that the rows are computed in.", lower_bound=1)
_FEED_FORWARD = flags.DEFINE_integer(
    "feed_forward_chunk_length", None, "Tokens of a feed-forward chunk; None for what the memory allows.", lower_bound=1
)
_STEPS = flags.DEFINE_integer("run", 0, "Steps that are made, compiled and not.", lower_bound=0)

_MIB = 2**20


def measure() -> dict[str, Any]:
    """Traces and compiles the step, and returns the content of the last line."""
    rows, length = setting.BATCH.value, setting.LENGTH.value
    step = whole_step.make_step(_model(), _OPTIMIZER.value, accumulation_steps=_PARTS.value)
    arguments = whole_step.batch(rows, length, 0)
    found = xla_ops.examine(step.__call__.get_concrete_function(*arguments))
    start = time.perf_counter()
    needs = compiled_program.read(step.run_whole, *arguments)
    seconds = time.perf_counter() - start
    losses = {}
    if _STEPS.value:
        plain = whole_step.make_step(_model(), _OPTIMIZER.value, compile_whole=False, accumulation_steps=_PARTS.value)
        for name, made in (("losses", step), ("losses_not_compiled", plain)):
            losses[name] = [float(made(*whole_step.batch(rows, length, number)).loss) for number in range(_STEPS.value)]
    return {
        "problems": found.problems(),
        "operations": found.counts,
        "types": found.types,
        "compile_s": seconds,
        **needs,
        **losses,
        "optimizer": _OPTIMIZER.value,
        "dropout": _DROPOUT.value,
        "accumulation_steps": _PARTS.value,
        **setting.arguments(),
    }


def _model() -> ReformerCausalLM:
    keras.utils.set_random_seed(0)
    return our_model.build(
        size_flags.sizes(),
        attention_layers=setting.kinds(),
        reversible=setting.REVERSIBLE.value,
        local_round=setting.LOCAL_ROUND.value,
        dropout=_DROPOUT.value,
        attention_dropout=_DROPOUT.value,
        feed_forward_chunk_length=_FEED_FORWARD.value,
        dtype=setting.PRECISION.value,
    )


def report(result: dict[str, Any]) -> str:
    """The result as text."""
    total = sum(result["operations"].values())
    lines = [f"{total:,} operations of {len(result['operations'])} types:"]
    lines += [f"{number:8,} {name}" for name, number in result["operations"].items()]
    lines.append("types of numbers, and how many operations have them:")
    for name, operations in result["types"].items():
        wide = f" ({', '.join(operations)})" if name in ("int64", "uint64", "float64") else ""
        lines.append(f"{sum(operations.values()):8,} {name}{wide}")
    sizes = ", ".join(
        f"{result[f'{name}_bytes'] / _MIB:,.1f} MiB {name}" for name in ("temporary", "argument", "output", "constant")
    )
    lines.append(f"compiled in {result['compile_s']:.0f} s: {sizes}; {result['matmul_flops'] / 1e9:,.2f} matmul GFLOP")
    lines += [f"{name}: {result[name]}" for name in ("losses", "losses_not_compiled") if name in result]
    lines += [f"PROBLEM: {problem}" for problem in result["problems"]]
    if not result["problems"]:
        lines.append(f"Every operation is registered for {xla_ops.DEVICE}; all shapes are static; no call to the host.")
    return "\n".join(lines)


def main(argv: list[str]) -> None:
    """Checks the arguments, measures, and prints."""
    setting.check(argv)
    if setting.BATCH.value % _PARTS.value:
        raise app.UsageError(
            f"--batch must be divisible by --accumulation_steps. Received: {setting.BATCH.value}, {_PARTS.value}"
        )
    result = measure()
    print(report(result))
    print(json.dumps(result))
    if result["problems"]:
        sys.exit(1)


if __name__ == "__main__":
    app.run(main)
