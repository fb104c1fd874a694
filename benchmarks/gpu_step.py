"""Numbers, times and memory of the training step on a GPU, beside exact attention, within eight minutes.

    python -m benchmarks.gpu_step --output=gpu_step.json
    python -m benchmarks.gpu_step --prepare=FOLDER   # for a GPU machine without TensorFlow

First the loss and the gradients of a small model in float32, without TF32, are compared with those of the CPU. Then, at
each length, forward and backward of a causal language model are timed after XLA compiled them as a whole: with the
attention layers `--attention`, with the exact ones of `--exact` in their place, and, where PyTorch or JAX is installed,
one call of their flash attention (see `benchmarks.peers.flash_attention`). The share of the peak is that of the
operations that a step needs (see `benchmarks.measuring.needed_operations`) over its time and what the GPU `--target`
does in a second in bfloat16 by its data sheet, which is the "model FLOPs utilization" of Chowdhery et al. (2022); it is
left out on another device. What is not done in `--seconds` is left out, and said so. Where there is no GPU nothing is
measured, unless `--cpu` lets the CPU take its place.

With `--prepare` nothing is measured: the steps are lowered for the GPU into a folder, small files that hold no weights,
with what runs them there. On the GPU machine `jax` and `numpy` are enough:

    cd FOLDER && python -m benchmarks.prepared_gpu_step

The last line of a measurement is one JSON object, which `--output`, a new file, has as well, after each point. The exit
code is 1 if the numbers differ from those of the CPU, or a point fails.
"""

import json
import pathlib
import sys
from typing import Any

from absl import flags

from benchmarks.measuring import command_line, gpu_folder, gpu_plan, machine, needed_operations, point_process
from benchmarks.measuring.chips import CHIPS
from benchmarks.measuring.gpu_plan import Plan
from benchmarks.measuring.limited_time import Point
from benchmarks.measuring.sizes import Sizes
from benchmarks.peers import flash_attention
from benchmarks.reports import gpu_step

_LENGTHS = flags.DEFINE_list("lengths", ["16384", "65536", "262144"], "Tokens of a sequence.")
_ATTENTION = flags.DEFINE_list("attention", ["lsh", "local"], "Kinds, repeated over the layers.")
_EXACT = flags.DEFINE_list("exact", ["full", "local"], "Kinds of the exact model; none for no such model.")
_SIZES = {"layers": 12, "width": 1024, "heads": 8, "num_hashes": 4, "chunk_length": 128}
for _size, _default in _SIZES.items():
    command_line.define(_size, _default)
_PRECISION = flags.DEFINE_enum("precision", "mixed_bfloat16", ["float32", "mixed_bfloat16"], "Dtype policy.")
_REPEAT = flags.DEFINE_integer("repeat", 3, "Timed steps, after one that is not.", lower_bound=1)
_SECONDS = flags.DEFINE_float("seconds", 450.0, "Limit of all measurements together.", lower_bound=1.0)
_TARGET = flags.DEFINE_enum("target", "h200", [name for name in CHIPS if CHIPS[name].kind == "GPU"], "The GPU.")
_OUTPUT = flags.DEFINE_string("output", "gpu_step.json", "File of the results.")
_CPU = flags.DEFINE_bool("cpu", False, "Whether the CPU may take the place of the GPU.")
_PREPARE = flags.DEFINE_string("prepare", None, "Folder for what another machine measures.")

# Of the model whose numbers are checked, long enough for windows: shorter sequences attend to all pairs.
_CHECKED = {"length": 1024, "layers": 2, "width": 128, "heads": 2, "chunk_length": 32}
_STEP, _LOWERED, _FLASH = "benchmarks.points.gpu_step", "benchmarks.points.lowered_step", flash_attention.__name__
_PREPARED = "benchmarks.prepared_gpu_step"
_LOWERING_SECONDS = 3600.0  # In which a step must be lowered.


def _models() -> list[list[str]]:
    """The kinds of attention of each model: of ours, and of the exact one if there is one."""
    return [kinds for kinds in (_ATTENTION.value, _EXACT.value) if kinds]


def _flags(kinds: list[str], **sizes: Any) -> list[str]:
    return command_line.options({"attention": ",".join(kinds), "repeat": _REPEAT.value, **sizes})


def _check_flags(lengths: list[int]) -> list[str]:
    sizes = {**_CHECKED, "length": min(_CHECKED["length"], *lengths), "num_hashes": flags.FLAGS.num_hashes}
    return [*_flags(_ATTENTION.value, **sizes, precision="float32"), "--check"]


def _step_flags(kinds: list[str], length: int) -> list[str]:
    return _flags(kinds, **command_line.arguments(_SIZES), length=length, precision=_PRECISION.value)


def _plan(lengths: list[int], lowered: bool) -> Plan:
    """The plan for this machine; or, with lowered steps, for another one."""
    sizes = [command_line.sizes(length=length) for length in lengths]
    check, run_lowered = _check_flags(lengths), [*_lowered(gpu_plan.CHECK), "--check"]
    points = [Point(gpu_plan.CHECK, min(_CHECKED["length"], *lengths), run_lowered if lowered else [_STEP, *check])]
    ours, *exact = ([_step(kinds, one, lowered) for one in sizes] for kinds in _models())
    # What is asked for comes first; the exact model takes longest.
    points += [*ours, *(_flash(framework, one) for framework in flash_attention.FRAMEWORKS for one in sizes)]
    points += [point for model in exact for point in model]
    about = {**command_line.arguments(_SIZES), "precision": _PRECISION.value, "target": _TARGET.value}
    about |= {"tf32": "off in the check, otherwise on", "code": machine.code()}
    chip = CHIPS[_TARGET.value]
    return Plan(points, chip.label, chip.full_peak, about)


def _step(kinds: list[str], sizes: Sizes, lowered: bool) -> Point:
    """The point of a model at a length."""
    own = [_STEP, *_step_flags(kinds, sizes.length)]
    command = _lowered(_name(kinds, sizes.length)) if lowered else own
    layers = [kinds[index % len(kinds)] for index in range(sizes.layers)]
    operations = needed_operations.training_step(sizes, layers)
    return Point(" ".join(kinds), sizes.length, command, operations)


def _lowered(name: str) -> list[str]:
    """The command for a lowered step."""
    return [_LOWERED, f"--program={gpu_folder.program(name)}", f"--repeat={_REPEAT.value}"]


def _flash(framework: str, sizes: Sizes) -> Point:
    values = {"framework": framework, "length": sizes.length, "heads": sizes.heads, "key_dim": sizes.key_dim}
    command = [_FLASH, *command_line.options({**values, "repeat": _REPEAT.value})]
    operations = needed_operations.causal_attention(sizes)
    return Point(f"one call of {framework}'s flash attention", sizes.length, command, operations, framework)


def _name(kinds: list[str], length: int) -> str:
    """The name of a lowered step."""
    return "_".join([*kinds, str(length)])


def _prepare(lengths: list[int], folder: pathlib.Path) -> None:
    """Writes the folder with the plan, and lowers the steps of its points into it, each in a process of its own."""
    gpu_folder.write(_plan(lengths, lowered=True), folder)
    programs = {gpu_plan.CHECK: _check_flags(lengths)}
    programs |= {_name(kinds, length): _step_flags(kinds, length) for kinds in _models() for length in lengths}
    for name, own in programs.items():
        path = folder / gpu_folder.program(name)
        command = [sys.executable, "-m", _STEP, *own, f"--program={path}", f"--target={_TARGET.value}"]
        result = point_process.run(command, _LOWERING_SECONDS, 0.9 * machine.memory_mib())
        if result["status"] != point_process.DONE:
            sys.exit(f"Error: {path} was not written: {result['status']}, {result['reason']}")
        print(f"{path}: {result['program_bytes'] / 2**20:.1f} MiB", flush=True)
    print(f"\ncd {folder} && python -m {_PREPARED}")


def main() -> None:
    """Measures or prepares."""
    with command_line.checking():
        lengths = command_line.positive_integers("lengths")
        command_line.check_heads()
        for name in ("attention", "exact") if _EXACT.value else ("attention",):
            command_line.choices(name, needed_operations.KINDS)
    if _PREPARE.value is not None:
        _prepare(lengths, pathlib.Path(_PREPARE.value))
        return
    plan, output = _plan(lengths, lowered=False), pathlib.Path(_OUTPUT.value)
    with command_line.checking():
        found = gpu_plan.run(plan, _SECONDS.value, output, _CPU.value, gpu_step.line)
    print(json.dumps(found))
    if failure := gpu_plan.failure(found):
        sys.exit(f"Error: {failure}")


if __name__ == "__main__":
    command_line.run(main)
