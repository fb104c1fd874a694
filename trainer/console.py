"""What the commands have in common: how much they say, and how they refuse."""

import re
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import tensorflow as tf
from absl import app, flags, logging

from trainer import cluster, exits

_Result = TypeVar("_Result")


def parse_flags(arguments: Sequence[str]) -> list[str]:
    """Parses the flags as absl does, with a clear message for a field that the config does not have.

    Args:
        arguments: The command line.

    Returns:
        What is not a flag, the name of the program first.
    """
    try:
        return app.parse_flags_with_usage(list(arguments))
    except (AttributeError, KeyError) as error:  # What ml_collections raises for a field that is not there.
        names = ", ".join(argument.split("=")[0] for argument in arguments if argument.startswith("--config."))
        hint = re.sub(r"\\n|\s+", " ", str(error.args[0])).replace("\\", "").replace("'", "").strip()
        sys.exit(refuse(ValueError(f"Flags must name fields of the config. Received: {names}; not there: {hint}")))


def begin(arguments: Sequence[str]) -> None:
    """Begins a command: looks for what is not a flag, and keeps the log to warnings unless `--verbosity` is given.

    Args:
        arguments: What the flags left of the command line, the name of the program first.

    Raises:
        absl.app.UsageError: If there is anything besides flags: a mistyped one, most often.
    """
    if len(arguments) > 1:
        raise app.UsageError(f"There must be nothing but flags. Received: {' '.join(arguments[1:])}")
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)
        tf.get_logger().setLevel("WARNING")


def refuse(error: Exception) -> int:
    """Says on standard error why a command cannot begin, without a trace unless `--verbosity=1` asks for it.

    Returns:
        `exits.REFUSED`.
    """
    print(f"Error: {error}", file=sys.stderr, flush=True)
    logging.debug("Where it was found:", exc_info=error)
    return exits.REFUSED


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


def or_refuse(action: Callable[[], _Result]) -> _Result:
    """Does something before the flags are parsed; ends the process as `refuse` says if that raises a `ValueError`."""
    try:
        return action()
    except ValueError as error:
        sys.exit(refuse(error))
