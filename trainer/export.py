"""Exports a run as a SavedModel: `python -m trainer.export --workdir=DIR --output=DIR2` writes DIR2/1/, then 2, ...

`docs/serving.md` describes its content and how to serve it.
"""

from trainer.commands import entry

if __name__ == "__main__":  # Before the imports that take seconds.
    entry.begin()

from absl import app, flags

from reformer_tf import local_paths
from trainer import config_checks, exits
from trainer.commands import console, run_flags
from trainer.model import load_described
from trainer.results import exporting
from trainer.storage import checkpoint_average
from trainer.storage.workdir import Workdir

_OUTPUT = flags.DEFINE_string("output", None, "Folder of the versions of the export.", required=True)
_SENTENCEPIECE = flags.DEFINE_bool(
    "sentencepiece",
    False,
    "SentencePiece runs: adds the signatures for strings, which need TensorFlow Text wherever the export is loaded.",
)

_DEVICE = flags.DEFINE_enum(
    "device",
    None,
    ["CPU", "GPU", "TPU"],
    "The kind of device that will serve the model. By default that of this process.",
)
_MEMORY = flags.DEFINE_float("device_memory", None, "Memory of this GPU or TPU in GiB; only with --device.")


def _memory_bytes() -> int | None:
    """The memory that the flags name, or None for none."""
    device, gib = _DEVICE.value, _MEMORY.value
    if gib is None:
        return None
    if device in (None, "CPU"):
        raise ValueError(
            f"`--device_memory` must come with `--device=GPU` or `--device=TPU`. Received: {device or 'neither'}"
        )
    if not 1 <= gib < float("inf"):
        raise ValueError(f"`--device_memory` must be a number of GiB, at least 1. Received: {gib}")
    return int(gib * 2**30)


def _main(arguments: list[str]) -> int:
    console.begin(arguments)
    try:
        config, workdir = _CONFIG.value, Workdir(_WORKDIR.value)
        output = local_paths.checked_folder("`output`", _OUTPUT.value)
        config_checks.check_config(config)
        memory = _memory_bytes()
        model, description = load_described(config, workdir, _CHECKPOINT.value, _AVERAGE.value)
        version = exporting.export_model(
            model, description, config, workdir, output, _SENTENCEPIECE.value, _DEVICE.value, memory
        )
    except (ValueError, OSError) as error:
        return console.refuse(error)
    print(f"The model of {checkpoint_average.describe(description)} is in {version}")
    return exits.DONE


if __name__ == "__main__":
    _WORKDIR, _CONFIG, _CHECKPOINT, _AVERAGE = console.or_refuse(run_flags.define_flags)
    entry.run(lambda: app.run(_main, flags_parser=console.parse_flags))
