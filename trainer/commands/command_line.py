"""Parsing of command lines: bad flags are refused in one sentence. Does not import TensorFlow."""

import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from absl import flags, logging

from trainer import exits

_Result = TypeVar("_Result")
_HELP = {"?", "help", "helpshort", "helpfull", "helpxml"}


def parse_flags(arguments: Sequence[str]) -> list[str]:
    """Parses the flags of a command without positional arguments; ends the process if they are invalid.

    Args:
        arguments: The command line.

    Returns:
        The arguments that are no flags, beginning with the name of the program.
    """
    # Otherwise absl stops at the first word that is no flag, and the flags after it seem to be missing.
    flags.FLAGS.set_gnu_getopt()
    return parse_flags_before_a_command(arguments)


def parse_flags_before_a_command(arguments: Sequence[str]) -> list[str]:
    """Parses the flags up to the first word that is none; see `parse_flags`."""
    try:
        return flags.FLAGS(list(arguments))
    # A parser may raise anything for a value that it cannot read.
    except (Exception, MemoryError) as error:
        sys.exit(refuse(error))
    except SystemExit:
        if asks_for_help(arguments):
            sys.exit(exits.DONE)  # absl returns 1.
        raise


def asks_for_help(arguments: Sequence[str]) -> bool:
    """Whether a command line asks which flags there are."""
    return any(argument.startswith("-") and argument.lstrip("-") in _HELP for argument in arguments)


def refuse(error: BaseException) -> int:
    """Prints on standard error why a command cannot begin; with a traceback only if `--verbosity=1` asks for it.

    Returns:
        `exits.REFUSED`.
    """
    said = error.args[0] if isinstance(error, KeyError) and error.args else error
    print(f"Error: {' '.join(str(said).split()) or type(error).__name__}", file=sys.stderr, flush=True)
    logging.debug("Where it was found:", exc_info=error)
    return exits.REFUSED


def or_refuse(action: Callable[[], _Result]) -> _Result:
    """Runs an action before the flags are parsed; if it fails, prints why and ends the process with `exits.REFUSED`."""
    try:
        return action()
    except (ValueError, OSError, flags.Error) as error:
        sys.exit(refuse(error))
