"""The command lines of benchmarks: flags of sizes with the same meaning everywhere, their checks, and the start."""

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from absl import app, flags

from benchmarks.measuring.sizes import Sizes

_DEFAULTS = {
    "length": (16384, "Tokens of a sequence."),
    "layers": (6, "Layers."),
    "width": (256, "Width of the model."),
    "heads": (4, "Attention heads; key_dim is width / heads."),
    "num_hashes": (2, "Hash rounds."),
    "chunk_length": (64, "Length of a chunk: the reach of a window."),
    "batch": (1, "Sequences."),
}

SIZES = tuple(field.name for field in dataclasses.fields(Sizes))
"""The flags that make up `Sizes`."""

# So that --help lists a flag with the module that asks for it.
flags.disclaim_key_flags()


def define(name: str, default: int | None = None) -> flags.FlagHolder[int]:
    """Defines the flag of a size.

    Args:
        name: of the flag.
        default: replaces the usual default.
    """
    usual, meaning = _DEFAULTS[name]
    return flags.DEFINE_integer(name, usual if default is None else default, meaning, lower_bound=1)


def define_timeout() -> flags.FlagHolder[float]:
    """Defines the flag of the time limit of a point."""
    return flags.DEFINE_float("timeout", 3600.0, "Seconds after which a point is given up.", lower_bound=1.0)


def define_memory_limit() -> flags.FlagHolder[float | None]:
    """Defines the flag of the memory limit of a point."""
    meaning = "Resident size at which a point is given up; 0.9 of the machine's memory by default."
    return flags.DEFINE_float("memory_limit_mib", None, meaning, lower_bound=1.0)


def sizes(**values: int) -> Sizes:
    """The sizes by the flags; those of `SIZES` that are not defined as flags must be passed."""
    return Sizes(**{**arguments(name for name in SIZES if name not in values), **values})


def arguments(names: Iterable[str]) -> dict[str, Any]:
    """The values of flags by name."""
    return {name: flags.FLAGS[name].value for name in names}


def options(values: dict[str, Any]) -> list[str]:
    """Values by name as flags of another process."""
    return [f"--{name}={value}" for name, value in values.items()]


def positive_integers(name: str, may_be_empty: bool = False) -> list[int]:
    """The values of a list of positive integers, sorted and without duplicates.

    Raises:
        ValueError: for other values, or if there is none and the list may not be empty.
    """
    values: list[str] = flags.FLAGS[name].value or []
    if not (values or may_be_empty) or not all(value.strip().isdigit() and int(value) > 0 for value in values):
        raise ValueError(f"--{name} must be positive integers. Received: {values}")
    return sorted({int(value) for value in values})


def choices(name: str, allowed: Iterable[str]) -> list[str]:
    """The values of a list without duplicates, at least one.

    Raises:
        ValueError: if one is not among `allowed`, or there is none.
    """
    values: list[str] = flags.FLAGS[name].value or []
    if not values or set(values) - set(allowed):
        raise ValueError(f"--{name} must be of {list(allowed)}. Received: {values}")
    return list(dict.fromkeys(values))


def check_heads() -> None:
    """Checks that the heads divide the width.

    Raises:
        ValueError: if they do not.
    """
    width, heads = flags.FLAGS.width, flags.FLAGS.heads
    if width % heads:
        raise ValueError(f"--width must be a multiple of --heads. Received: {width}, {heads}")


@contextlib.contextmanager
def checking() -> Iterator[None]:
    """Ends the command with the message of an error of its flags or files, before anything is measured."""
    try:
        yield
    except (ValueError, OSError) as error:
        sys.exit(f"Error: {error}")


def run(main: Callable[[], None]) -> None:
    """Runs a command that takes nothing but flags."""

    def checked(argv: list[str]) -> None:
        if len(argv) > 1:
            raise app.UsageError(f"Unknown arguments: {argv[1:]}")
        main()

    app.run(checked)
