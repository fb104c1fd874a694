"""The command line of the commands: its flags are parsed, or refused in one sentence. Without TensorFlow."""

import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from absl import flags, logging

from trainer import exits

_Result = TypeVar("_Result")
_HELP = {"?", "help", "helpshort", "helpfull", "helpxml"}


def parse_flags(arguments: Sequence[str]) -> list[str]:
    """Parses the flags of a command that takes nothing else; ends the process if there is anything wrong with them.

    Args:
        arguments: The command line.

    Returns:
        What is not a flag, the name of the program first.
    """
    # Without, absl stops at the first word that is no flag, and the flags after it seem to be missing.
    flags.FLAGS.set_gnu_getopt()
    return parse_flags_before_a_command(arguments)


def parse_flags_before_a_command(arguments: Sequence[str]) -> list[str]:
    """Parses the flags up to the first word that is none; see `parse_flags`."""
    try:
        return flags.FLAGS(list(arguments))
    # A value may be anything, and so is what its parser makes of it.
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
    """Says on standard error why a command cannot begin, without a trace unless `--verbosity=1` asks for it.

    Returns:
        `exits.REFUSED`.
    """
    said = error.args[0] if isinstance(error, KeyError) and error.args else error
    print(f"Error: {' '.join(str(said).split()) or type(error).__name__}", file=sys.stderr, flush=True)
    logging.debug("Where it was found:", exc_info=error)
    return exits.REFUSED


def or_refuse(action: Callable[[], _Result]) -> _Result:
    """Does something before the flags are parsed; ends the process as `refuse` says if it cannot be done."""
    try:
        return action()
    except (ValueError, OSError, flags.Error) as error:
        sys.exit(refuse(error))
