"""What the commands have in common: how much they say, and how they refuse."""

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
    """Begins a command: looks for what is not a flag, and keeps the log to warnings unless `--verbosity` is given.

    Ends the process if there is anything besides flags: a mistyped one, most often.

    Args:
        arguments: What the flags left of the command line, the name of the program first.
    """
    if len(arguments) > 1:
        sys.exit(refuse(ValueError(f"There must be nothing but flags. Received: {' '.join(arguments[1:])}")))
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Paths may have bytes that are no text, and a terminal may lack characters: nothing ends because of them.
        sys.stdout.reconfigure(errors="backslashreplace")
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)
        tf.get_logger().setLevel("WARNING")


def lost_peer(error: tf.errors.OpError, workdir: str) -> int:
    """Says on standard error that another process of the run is gone.

    Args:
        error: What TensorFlow made of it.
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
