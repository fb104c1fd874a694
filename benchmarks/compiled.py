"""Memory and operations of the compiled training step over depth and length, or of a config, read from XLA's program.

    python -m benchmarks.compiled --depths=2,6,12,24 --lengths=4096 --output=compiled.jsonl
    python -m benchmarks.compiled --target=h200 --depths=12 --lengths=16384,65536 --reversible=true --width=1024 \
        --heads=8 --chunk_length=128 --num_hashes=4 --attention=lsh,local --precision=mixed_bfloat16
    python -m benchmarks.compiled --target=v5e --config=configs/million_tokens.py --config.optimizer.name=adafactor

By flags, the step is forward and backward of a language model over byte values, as in `benchmarks.train_step`, for each
size, with reversible layers and without. With `--config` it is the whole step that the trainer makes of this config,
with the update of the weights, on one device with the whole batch; `--config.FIELD=VALUE` sets a field, as for
`trainer.task`.

`--target=cpu` asks TensorFlow's own compiler for the device that TensorFlow finds, otherwise the CPU: memory by kind,
operations, bytes accessed, and the largest buffers at the peak. Without `--run` no step is run, so that sizes are
possible that would take too long here.

Other targets are chips that need not be here (`compilers.chips.registry`): will it fit, and how fast can it be at most?
The step is lowered here with the budgets of that kind of device, and compiled in another process by the chip's own
compiler, which the extra `accelerators` brings (`pip install -e ".[accelerators]"`; or `--python=PATH` of the Python of
an environment with `jax` and `jax[cuda13]`'s plugin or `libtpu`). Besides the above there are the size of the lowered
program, whether all of it fits the chip, how many kernels (on a TPU instructions) are launched, with loops as often as
they iterate, and the time that they take at least by the roofline. A program that the compiler refuses for the chip's
memory is a result too, with the compiler's list of the largest allocations. No GPU or TPU is used, so no time is
measured, and a GPU's compiler does not try out which kernels are fastest. A TPU's compiler runs once a machine at a
time: a point waits for another process that has it, up to 15 minutes.

Each point is a process of its own (see `benchmarks.points.compiled`). The results are written to `--output` point by
point, one JSON object a line; the same command continues with the missing points, if the compiler has the same version.
"""

import itertools
import pathlib
import re
import sys
import tempfile
from typing import Any

from absl import flags

from benchmarks.measuring import command_line, needed_operations, points
from benchmarks.measuring.results import Results
from compilers.chips.registry import CHIPS, HERE
from compilers.processes import compile_process, limited_process, machine
from compilers.reports import compiled
from trainer.commands.command_line import or_refuse
from trainer.config import as_dict, write_config

_TARGET = flags.DEFINE_enum("target", HERE, [HERE, *CHIPS], "What the step is compiled for.")
_DEPTHS = flags.DEFINE_list("depths", ["2", "6", "12", "24"], "Layers.")
_LENGTHS = flags.DEFINE_list("lengths", ["4096"], "Tokens of a sequence.")
_REVERSIBLE = flags.DEFINE_list("reversible", ["true", "false"], "Whether the stack saves memory: true, false or both.")
_ATTENTION = flags.DEFINE_string("attention", "lsh", "Kinds of attention, with commas, repeated over the layers.")
_MODEL = ["width", "heads", "num_hashes", "chunk_length", "batch"]
for _size in _MODEL:
    command_line.define(_size)
_PRECISION = flags.DEFINE_enum("precision", "float32", ["float32", "mixed_bfloat16"], "Dtype policy.")
_RUN = flags.DEFINE_bool("run", False, "Whether the programs are run as well; with --target=cpu.")
_REPEAT = flags.DEFINE_integer("repeat", 3, "Steps timed with --run, after one that is not.", lower_bound=1)
_TIMEOUT = command_line.define_timeout()
_PYTHON = flags.DEFINE_string("python", sys.executable, "Python of the environment that compiles for a chip.")
_OUTPUT = flags.DEFINE_string("output", "compiled.jsonl", "File of the results.")

_ARGUMENTS = ["attention", *_MODEL, "precision", "run", "repeat"]
_NOT_WITH_CONFIG = ["depths", "lengths", "reversible", *_ARGUMENTS]
_IDENTITY = ["length", "layers", "reversible"]


def _define_config() -> None:
    """Defines `--config`, and where it is set the flags of its fields, as the trainer takes them."""
    help_text = "File with the config of a run, in place of flags of the model; --config.FIELD=VALUE sets a field."
    if any(re.match(r"--?config(=|$)", argument) for argument in sys.argv[1:]):
        from trainer.commands import config_file, config_flag  # These import TensorFlow, which takes seconds.

        (file,) = config_flag.peek_flags(["config"])
        config_flag.define(config_file.load(file or ""), help_text)
    else:
        flags.DEFINE_string("config", None, help_text)


def main() -> None:
    """Measures the missing points, and prints the tables."""
    with tempfile.TemporaryDirectory() as folder:
        with command_line.checking():
            versions = _check()
            arguments, planned = _of_config(pathlib.Path(folder)) if flags.FLAGS.config else _of_flags()
            target = {"target": _TARGET.value}
            about = {**machine.describe(), "compiler": versions} if versions else machine.describe()
            results = Results(_OUTPUT.value, {**target, **arguments}, about, _IDENTITY)
        measured = points.run(planned, results, lambda point: points.measure(point, _TIMEOUT.value), compiled.outcome)
    print(f"\n{compiled.report(measured, _TARGET.value)}\n\nresults: {results.path}")
    if any(point["status"] != limited_process.DONE for point in measured):
        sys.exit(1)


def _check() -> dict[str, str]:
    """Checks what flags must not be together, and that the environment that compiles has what it needs.

    Returns:
        The versions of what compiles for a chip; none for this machine, whose description has them.
    """
    received = [name for name in _NOT_WITH_CONFIG if flags.FLAGS[name].present]
    if flags.FLAGS.config and received:
        raise ValueError(
            "With --config, fields of the config must be set in place of other flags of the model, such as "
            f"--config.model.num_layers=2. Received: {', '.join(f'--{name}' for name in received)}"
        )
    if _TARGET.value == HERE:
        return {}
    if _RUN.value:
        raise ValueError(f"--run must be false for a chip that need not be here. Received: --target={_TARGET.value}")
    return compile_process.check(_TARGET.value, _PYTHON.value)


def _of_flags() -> tuple[dict[str, Any], list[points.Point]]:
    """The arguments of all points by the flags of the model, and the points."""
    arguments = command_line.arguments(_ARGUMENTS)
    lengths, depths = (command_line.positive_integers(name) for name in ("lengths", "depths"))
    kinds = [kind == "true" for kind in command_line.choices("reversible", ["true", "false"])]
    command_line.check_heads()
    _check_attention()
    planned = []
    for length, layers, reversible in itertools.product(lengths, depths, kinds):
        identity = {"length": length, "layers": layers, "reversible": reversible}
        planned.append(_point(identity, {**identity, **arguments}))
    return arguments, planned


def _check_attention() -> None:
    kinds = _ATTENTION.value.split(",")
    if set(kinds) <= set(needed_operations.KINDS):
        return
    from reformer_tf.layers.attention import registry  # Imports TensorFlow, which takes seconds.

    if unknown := [kind for kind in kinds if kind not in registry.ATTENTION_LAYERS]:
        known = sorted(registry.ATTENTION_LAYERS)
        raise ValueError(f"--attention must name kinds among {known}. Received: {unknown}")


def _of_config(folder: pathlib.Path) -> tuple[dict[str, Any], list[points.Point]]:
    """The config as the arguments, and its point; the point reads the config from a file in a folder."""
    from compilers.steps import config_step  # Imports TensorFlow, which takes seconds.

    config = config_step.for_one_device(flags.FLAGS.config)
    write_config(config, folder / "config.json")
    identity = {
        "length": config.train.sequence_length,
        "layers": config_step.number_of_layers(config),
        "reversible": bool(config.model.get("reversible", True)),
    }
    return {"config": as_dict(config)}, [_point(identity, {"config": folder / "config.json"})]


def _point(identity: dict[str, Any], values: dict[str, Any]) -> points.Point:
    options = command_line.options({**values, "target": _TARGET.value, "python": _PYTHON.value})
    return points.Point(identity, ["benchmarks.points.compiled", *options], identity["length"] * identity["layers"])


if __name__ == "__main__":
    or_refuse(_define_config)  # Before the flags are parsed.
    command_line.run(main)
