"""Trains a model from a config: `python -m trainer.task --config=configs/NAME.py --workdir=DIR`.

Any field of the config can be overridden, as in `--config.train.steps=20`. Started again on the same folder, the run
goes on from its newest checkpoint; with `--checkpoint=STEP` it first goes back to that one. Without `--config`, the
config is the `config.json` of the folder, which the previous start or `trainer.convert` wrote. `--dry_run` reports the
memory and time that the run needs, and writes nothing. `trainer.exits` lists the exit codes.
"""

from trainer import exits
from trainer.commands import entry

if __name__ == "__main__":  # Before the imports that take seconds.
    entry.begin(entry.STOP)

from absl import app, flags

from trainer.commands import cluster_flags, console, run_flags
from trainer.distribution import dispatch, parameter_server
from trainer.results import final_report
from trainer.storage import checkpoint_choice
from trainer.training import dry_run, loop
from trainer.training.run import Run

_DRY_RUN = flags.DEFINE_bool(
    "dry_run",
    False,
    "Reports what the run would take, from a few steps: parameters, memory, data, time. Writes nothing.",
)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run; made if it is not there.", required=True)
_CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    checkpoint_choice.NEWEST,
    "Where to go on: newest, or back to best (by config.train.best_metric of the validation) or to the number of a "
    "step. Later checkpoints and metrics are set aside in a folder before_STEP_N of --workdir.",
)


def main(arguments: list[str]) -> int:
    """Trains and returns the exit code of the process."""
    with entry.STOP as stop:
        console.begin(arguments)
        config = flags.FLAGS.config
        try:
            cluster_flags.to_environment()
            if parameter_server.serves(config.strategy):
                return parameter_server.serve(stop)
            with stop.interruptible():
                run = Run(config, _WORKDIR.value, _CHECKPOINT.value, _DRY_RUN.value)
                if _DRY_RUN.value:
                    entry.keep(run)
                    return dry_run.show(run)
        except exits.Stopped:
            print(exits.BEFORE_THE_FIRST_STEP, flush=True)
            return exits.STOPPED
        except (ValueError, OSError) as error:
            return console.refuse(error)
        except dispatch.LOST_PEER_ERRORS as error:
            return console.lost_peer(error, _WORKDIR.value)
        entry.keep(run)
        try:
            code = loop.train(run, stop) or final_report.close(run, stop)
            if code == exits.DONE:
                run.end()
            return code
        except dispatch.LOST_PEER_ERRORS as error:
            return console.lost_peer(error, _WORKDIR.value)
        finally:
            run.close()


def run() -> None:
    """Parses the flags, trains, and ends the process."""
    entry.run(_parse_and_run)


def _parse_and_run() -> None:
    console.or_refuse(run_flags.define_config)
    app.run(main, flags_parser=console.parse_flags)


if __name__ == "__main__":
    run()
