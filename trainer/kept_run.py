"""Flags of the commands that work on a run that is there: its folder, its config with overrides, its checkpoint."""

import os
import pathlib
import re
import sys
from collections.abc import Mapping, Sequence

from absl import flags
from ml_collections import config_flags

from trainer import checkpoint_choice, kept_config
from trainer.config import read_config
from trainer.workdir import Workdir

_JSON = re.compile(r"--?config=(.+\.json)")


def define_flags(
    arguments: Sequence[str] = (),
) -> tuple[flags.FlagHolder, flags.FlagHolder, flags.FlagHolder]:
    """Defines `--workdir`, `--config` and `--checkpoint`.

    The config is the one kept in the folder, so that `--config.model.num_hashes=8` works.

    The config's fields must be known before the flags are parsed, so `--workdir` is looked up in the arguments first.

    Args:
        arguments: The command line; by default that of this process.

    Returns:
        The flags `workdir`, `config` and `checkpoint`.

    Raises:
        ValueError: If there is no run in the folder.
    """
    workdir = _look_ahead(arguments)
    folder = flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
    checkpoint = flags.DEFINE_string(
        "checkpoint",
        checkpoint_choice.NEWEST,
        "Which to read: newest, best (by validation loss) or the number of a step.",
    )
    if workdir is None:  # Parsing the flags will say so, or show the help.
        return folder, flags.DEFINE_string("config", None, "The config kept in --workdir, with overrides."), checkpoint
    config = read_config(Workdir(workdir).config)
    return folder, config_flags.DEFINE_config_dict("config", config, "The config kept in --workdir."), checkpoint


def given_fields() -> list[str]:
    """Names of the fields that the command line gives, such as `data.path`; to be asked after the flags are parsed."""
    overrides = config_flags.get_override_values(flags.FLAGS["config"])
    found = []
    for name, value in overrides.items():
        found += [f"{name}.{field}" for field in value] if isinstance(value, Mapping) else [name]
    return found


def config_file(arguments: Sequence[str] = ()) -> str | None:
    """What `--config` of a config file would be for the config kept in `--workdir`; None if there is none.

    Args:
        arguments: The command line; by default that of this process.
    """
    workdir = _look_ahead(arguments)
    if workdir is None or not Workdir(workdir).config.is_file():
        return None
    return _as_file(Workdir(workdir).config)


def with_config_files(arguments: Sequence[str]) -> list[str]:
    """The command line with `--config=DIR/config.json`, a config that a run kept, as a config file."""
    return [
        f"--config={_as_file(match[1])}" if (match := _JSON.fullmatch(argument)) else argument for argument in arguments
    ]


def _as_file(path: str | os.PathLike[str]) -> str:
    return f"{pathlib.Path(kept_config.__file__).resolve()}:{path}"


def _look_ahead(arguments: Sequence[str]) -> str | None:
    """The value of `--workdir`."""
    ahead = flags.FlagValues()
    flags.DEFINE_string("workdir", None, "", flag_values=ahead)
    ahead(list(arguments or sys.argv), known_only=True)
    return ahead["workdir"].value
