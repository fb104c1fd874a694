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

import pathlib
from typing import Any

from absl import flags

from benchmarks.measuring import command_line, needed_operations
from benchmarks.measuring.sizes import Sizes
from benchmarks.peers import flash_attention
from compilers.chips.registry import CHIPS
from compilers.processes import machine
from compilers.runs import gpu_folder, gpu_plan
from compilers.runs.gpu_plan import Plan, Point

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
_STEP = "benchmarks.points.gpu_step"

TREES = ("benchmarks", "compilers")
"""What a prepared folder has of this repository: the trees of `benchmarks.prepared_gpu_step` and of what it imports."""


def _plan(lengths: list[int]) -> Plan:
    """The plan for this machine."""
    sizes = [command_line.sizes(length=length) for length in lengths]
    ours, exact = ([_step(kinds, one) for one in sizes if kinds] for kinds in (_ATTENTION.value, _EXACT.value))
    flash = [_flash(framework, one) for framework in flash_attention.FRAMEWORKS for one in sizes]
    about = {**command_line.arguments(_SIZES), "precision": _PRECISION.value, "target": _TARGET.value}
    about |= {"tf32": "off in the check, otherwise on", "code": machine.code()}
    chip = CHIPS[_TARGET.value]
    # What is asked for comes first; the exact model takes longest.
    return Plan([_check(lengths), *ours, *flash, *exact], chip.label, chip.full_peak, about)


def _check(lengths: list[int]) -> Point:
    """The point that compares numbers."""
    sizes = {**_CHECKED, "length": min(_CHECKED["length"], *lengths), "num_hashes": flags.FLAGS.num_hashes}
    command = [_STEP, *_flags(_ATTENTION.value, **sizes, precision="float32"), "--check"]
    return Point(gpu_plan.CHECK, sizes["length"], command, lowers=True)


def _step(kinds: list[str], sizes: Sizes) -> Point:
    """The point of a model at a length."""
    own = {**command_line.arguments(_SIZES), "length": sizes.length, "precision": _PRECISION.value}
    layers = [kinds[index % len(kinds)] for index in range(sizes.layers)]
    operations = needed_operations.training_step(sizes, layers)
    return Point(" ".join(kinds), sizes.length, [_STEP, *_flags(kinds, **own)], operations, lowers=True)


def _flags(kinds: list[str], **values: Any) -> list[str]:
    common = {"attention": ",".join(kinds), "repeat": _REPEAT.value, "target": _TARGET.value}
    return command_line.options({**common, **values})


def _flash(framework: str, sizes: Sizes) -> Point:
    values = {"framework": framework, "length": sizes.length, "heads": sizes.heads, "key_dim": sizes.key_dim}
    command = [flash_attention.__name__, *command_line.options({**values, "repeat": _REPEAT.value})]
    operations = needed_operations.causal_attention(sizes)
    return Point(f"one call of {framework}'s flash attention", sizes.length, command, operations, framework)


def main() -> None:
    """Measures or prepares."""
    with command_line.checking():
        lengths = command_line.positive_integers("lengths")
        command_line.check_heads()
        for name in ("attention", "exact") if _EXACT.value else ("attention",):
            command_line.choices(name, needed_operations.KINDS)
        if _PREPARE.value is not None:
            gpu_folder.check(pathlib.Path(_PREPARE.value), TREES)
    plan = _plan(lengths)
    if _PREPARE.value is not None:
        gpu_folder.write(plan, pathlib.Path(_PREPARE.value), _REPEAT.value, TREES)
        print(f"\ncd {_PREPARE.value} && python -m benchmarks.prepared_gpu_step")
    else:
        gpu_plan.main(plan, _SECONDS.value, pathlib.Path(_OUTPUT.value), _CPU.value)


if __name__ == "__main__":
    command_line.run(main)
