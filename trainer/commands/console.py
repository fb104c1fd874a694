"""Steps that all commands share: setting the verbosity, refusing, and reporting a lost process."""

import io
import sys
from collections.abc import Sequence

import tensorflow as tf
from absl import flags, logging

from trainer import exits
from trainer.commands.command_line import or_refuse, parse_flags, refuse
from trainer.distribution import cluster

__all__ = ["begin", "lost_peer", "or_refuse", "parse_flags", "refuse"]


def begin(arguments: Sequence[str]) -> None:
    """Begins a command: refuses positional arguments, and limits the log to warnings unless `--verbosity` is given.

    A positional argument is most often a mistyped flag; it ends the process.

    Args:
        arguments: The arguments that are no flags, beginning with the name of the program.
    """
    if len(arguments) > 1:
        sys.exit(refuse(ValueError(f"There must be nothing but flags. Received: {' '.join(arguments[1:])}")))
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Paths may hold bytes that are no text, and a terminal may lack characters: neither may end the process.
        sys.stdout.reconfigure(errors="backslashreplace")
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)
        tf.get_logger().setLevel("WARNING")


def lost_peer(error: tf.errors.OpError, workdir: str) -> int:
    """Reports on standard error that another process of the run is gone.

    Args:
        error: The error that TensorFlow raised.
        workdir: The folder of the run.

    Returns:
        `exits.LOST_PEER`.

    Raises:
        tf.errors.OpError: The same, if the run has no other process.
    """
    if cluster.from_environment() is None:
        raise error
    reason = (error.message or "").strip().splitlines()
    said = reason[-1] if reason else type(error).__name__
    print(
        f"Stopped: another process of the run is gone or cannot be reached ({said}). Started again, all of them go on "
        f"from the newest checkpoint in {workdir}.",
        file=sys.stderr,
        flush=True,
    )
    return exits.LOST_PEER
