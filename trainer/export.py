"""Exports a run as a SavedModel: `python -m trainer.export --workdir=DIR --output=DIR2` writes DIR2/1/, then 2, ..."""

from absl import app, flags

from reformer_tf.export import export_saved_model
from trainer import check, console, exits, kept_run
from trainer.model import load_model
from trainer.workdir import Workdir

_OUTPUT = flags.DEFINE_string("output", None, "Folder of the versions of the export.", required=True)


def _main(arguments: list[str]) -> int:
    console.begin(arguments)
    try:
        check.check_config(_CONFIG.value)
        model, step = load_model(_CONFIG.value, Workdir(_WORKDIR.value), _CHECKPOINT.value)
        version = export_saved_model(model, _OUTPUT.value)
    except (ValueError, OSError) as error:
        return console.refuse(error)
    print(f"The model of step {step} is in {version}")
    return exits.DONE


if __name__ == "__main__":
    _WORKDIR, _CONFIG, _CHECKPOINT = console.or_refuse(kept_run.define_flags)
    app.run(_main, flags_parser=console.parse_flags)
