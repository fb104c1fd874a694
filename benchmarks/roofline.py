"""Compares the stages of a training step with the limits of the machine.

    python -m benchmarks.roofline --length=16384 --layers=6 --output=roofline.json --plot=roofline.png

For each stage, forward and backward (including the recomputation of a reversible stack): operations and bytes by
formula (`benchmarks.stages.costs`), the time of that stage by itself, the limit (the larger of operations by the peak
of matrix products and bytes by the rate of the memory), and the limit as a fraction of the time. The limits of the
machine are measured in the same run, and so is the complete step, to show how much of it the stages do not explain.
Flags are those of `benchmarks.train_step`; the attention is LSH with bucket windows. The plot needs
`pip install -e ".[benchmarks]"`.
"""

import importlib.util
import json
import pathlib
import statistics
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from absl import app, flags

from benchmarks.measuring import machine, setting, timing
from benchmarks.stages import costs, limits, plot, report
from benchmarks.stages import runs as stage_runs
from benchmarks.stages.quantities import Cost, Sizes, Stage
from reformer_tf.ops import bucket_counts
from trainer import atomic

_MATMUL_SIZE = flags.DEFINE_integer("matmul_size", 4096, "Rows of the matrices of the peak.", lower_bound=1)
_ARRAY_MIB = flags.DEFINE_integer("array_mib", 256, "Arrays of the memory's rate; larger than caches.", lower_bound=1)
_SECONDS = flags.DEFINE_float("seconds", 0.5, "Least time for which each stage is timed.", lower_bound=0.0)
_OUTPUT = flags.DEFINE_string("output", "roofline.json", "File of the results.")
_PLOT = flags.DEFINE_string("plot", None, "PNG file; by default --output with that ending. Empty for none.")


def sizes() -> Sizes:
    """The sizes that the flags describe."""
    heads = setting.HEADS.value
    factors = bucket_counts.default_num_buckets(setting.LENGTH.value, setting.CHUNK_LENGTH.value)
    return Sizes(
        batch=setting.BATCH.value,
        length=setting.LENGTH.value,
        width=setting.WIDTH.value,
        heads=heads,
        key_dim=setting.WIDTH.value // heads,
        hash_rounds=setting.NUM_HASHES.value,
        local_rounds=int(setting.LOCAL_ROUND.value),
        chunk_length=setting.CHUNK_LENGTH.value,
        intermediate_dim=4 * setting.WIDTH.value,
        vocabulary_size=setting.VOCABULARY_SIZE,
        projections=bucket_counts.rotation_columns(factors),
        itemsize=_dtype().size,
    )


def _dtype() -> tf.DType:
    return tf.float32 if setting.PRECISION.value == "float32" else tf.bfloat16


def measure() -> dict[str, Any]:
    """Measures the machine, the stages and the step."""
    size, chunk = setting.WIDTH.value // setting.HEADS.value, setting.CHUNK_LENGTH.value
    # The limits take the best time, since other work of the machine only makes calls slower.
    rates = limits.measure(
        _MATMUL_SIZE.value, _ARRAY_MIB.value, (chunk, size, 2 * chunk), lambda run: min(_durations(run))
    )
    seconds = _times(stage_runs.runs())
    parts = [seconds[name] for name in ("attention", "laying out", "blocks")]
    seconds["merging"] = (parts[0][0] - parts[1][0] - parts[2][0], parts[0][1] - parts[1][1] - parts[2][1])
    stages = [_stage(stage, seconds[stage.name], rates) for stage in costs.stages(sizes())]

    def total(quantity: str) -> float:
        counted = [s for s in stages if not s["part_of"]]
        return sum(s["in_step"] * (s["forward"][quantity] + s["backward"][quantity]) for s in counted)

    return {
        "arguments": {**setting.arguments(), "matmul_size": _MATMUL_SIZE.value, "array_mib": _ARRAY_MIB.value},
        "machine": machine.describe(),
        "code": machine.code(),
        "limits": rates._asdict(),
        "peak_flops": rates.matmul_flops[_dtype().name],
        "stages": stages,
        "stages_s": total("seconds"),
        "limit_s": total("limit_s"),
        "practical_limit_s": total("practical_limit_s"),
        "step_s": _step_seconds(),
    }


def _times(runs: dict[str, stage_runs.Run]) -> dict[str, tuple[float, float]]:
    """Seconds of the forward and of the backward pass of each stage."""
    in_layer = {stage.name: stage.in_layer for stage in costs.stages(sizes())}
    times = {}
    for name, run in runs.items():
        once = _seconds(*run.forward)
        forward = run.times * once
        backward = (run.times * _seconds(*run.backward) if run.backward else 0.0) + run.again * once
        # Outside the reversible stack nothing is recomputed, so the backward function's time includes the forward pass.
        times[name] = (forward, backward if in_layer[name] else max(backward - forward, 0.0))
    return times


def _seconds(function: Callable, arguments: Sequence[Any]) -> float:
    compiled = tf.function(function, autograph=False, jit_compile=setting.JIT_COMPILE.value)
    return statistics.median(_durations(lambda: compiled(*arguments)))


def _durations(run: Callable[[], object]) -> list[float]:
    return timing.seconds(run, setting.REPEAT.value, _SECONDS.value)


def _step_seconds() -> float:
    """The time of the complete step, as `benchmarks.train_step` measures it."""
    compiled = setting.JIT_COMPILE.value
    step = tf.function(
        setting.build_step(setting.build_model()),
        input_signature=setting.signature(setting.LENGTH.value if compiled else None),
        jit_compile=compiled,
        autograph=False,
    )
    shape = (setting.BATCH.value, setting.LENGTH.value + 1)
    ids = tf.constant(np.random.default_rng(0).integers(0, setting.VOCABULARY_SIZE, shape, dtype=np.int32))
    return statistics.median(timing.seconds(lambda: step(ids, tf.constant([0, 1]))[0].numpy(), setting.REPEAT.value))


def _stage(stage: Stage, seconds: tuple[float, float], rates: limits.Limits) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": stage.name,
        "part_of": stage.part_of,
        "in_step": setting.LAYERS.value if stage.in_layer else 1,
    }
    for direction, cost, taken in zip(("forward", "backward"), (stage.forward, stage.backward), seconds, strict=True):
        described[direction] = {**cost._asdict(), "seconds": taken, **limit(cost, rates, _dtype().name, stage.blocks)}
    return described


def limit(cost: Cost, rates: limits.Limits, dtype: str, blocks: bool) -> dict[str, Any]:
    """The least time of a stage by the limits of the machine.

    Args:
        cost: of the stage.
        rates: the limits.
        dtype: of its matrix products.
        blocks: whether these are products of small blocks.

    Returns:
        `limit_s`, `bound_by` and `practical_limit_s`, which takes products of blocks at their own rate and adds the
        time of exp and gelu.
    """
    computing, moving = cost.flops / rates.matmul_flops[dtype], cost.bytes / rates.bytes
    products = cost.flops / (rates.block_flops if blocks else rates.matmul_flops)[dtype]
    functions = cost.exponentials / rates.exponentials + cost.gelus / rates.gelus[dtype]
    return {
        "limit_s": max(computing, moving),
        "bound_by": "operations" if computing > moving else "bytes",
        "practical_limit_s": max(products + functions, moving),
    }


def _plot_path() -> pathlib.Path | None:
    """The file of the plot, or None.

    Raises:
        app.UsageError: if one was asked for and cannot be drawn.
    """
    if _PLOT.value == "":
        return None
    if importlib.util.find_spec("matplotlib") is None:
        if _PLOT.value:
            raise app.UsageError(f"--plot needs matplotlib. Received: --plot={_PLOT.value}, without it")
        return None
    return pathlib.Path(_PLOT.value) if _PLOT.value else pathlib.Path(_OUTPUT.value).with_suffix(".png")


def main(argv: list[str]) -> None:
    """Checks the arguments, measures, writes and prints."""
    setting.check(argv)
    if set(setting.kinds()) != {"lsh"} or setting.WINDOW.value != "bucket" or not setting.REVERSIBLE.value:
        raise app.UsageError(
            "--attention must be lsh, --window bucket and --reversible true: the stages are those of that step."
            f" Received: {setting.ATTENTION.value}, {setting.WINDOW.value}, {setting.REVERSIBLE.value}"
        )
    picture, output = _plot_path(), pathlib.Path(_OUTPUT.value)
    try:
        output.touch()
    except OSError as error:
        sys.exit(f"Error: --output cannot be written: {error}")
    measured = measure()
    atomic.write_text(output, json.dumps(measured, indent=1) + "\n")
    print(f"{report.report(measured)}\n\nresults: {output}")
    if picture:
        plot.plot(measured, picture)
    print(f"plot: {picture or 'none (matplotlib is not installed, or --plot is empty)'}")


if __name__ == "__main__":
    app.run(main)
