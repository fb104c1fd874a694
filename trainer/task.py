"""Trains a model from a config: `python -m trainer.task --config=configs/NAME.py --workdir=DIR`.

Any field of the config can be overridden, as in `--config.train.steps=20`. Run again on the same folder, it goes on
where it was. See `trainer.exits` for what the process returns.
"""

from absl import app, flags
from ml_collections import config_flags

from trainer import closing, console, exits, loop
from trainer.run import Run

_CONFIG = config_flags.DEFINE_config_file("config", None, "File with the config of the run.")
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run; made if it is not there.", required=True)


def main(arguments: list[str]) -> int:
    """Runs, and returns what the process should return."""
    console.begin(arguments)
    with exits.StopRequest() as stop:
        try:
            with stop.interruptible():
                run = Run(_CONFIG.value, _WORKDIR.value)
        except exits.Stopped:
            print("Stopped before the first step.", flush=True)
            return exits.STOPPED
        except (ValueError, OSError) as error:
            return console.refuse(error)
        try:
            return loop.train(run, stop) or closing.close(run, stop)
        finally:
            run.close()


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    app.run(main, flags_parser=console.parse_flags)
