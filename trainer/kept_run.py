"""Flags of the commands that work on a run that is there: its folder, and its config with overrides."""

import sys
from collections.abc import Sequence

from absl import flags
from ml_collections import config_flags

from trainer.config import read_config
from trainer.workdir import Workdir


def define_flags(arguments: Sequence[str] = ()) -> tuple[flags.FlagHolder, flags.FlagHolder]:
    """Defines `--workdir`, and `--config` as the config kept there, so that `--config.model.num_hashes=8` works.

    The config's fields must be known before the flags are parsed, so `--workdir` is looked up in the arguments first.

    Args:
        arguments: The command line; by default that of this process.

    Returns:
        The flags `workdir` and `config`.

    Raises:
        ValueError: If there is no run in the folder.
    """
    arguments = list(arguments or sys.argv)
    ahead = flags.FlagValues()
    flags.DEFINE_string("workdir", None, "", flag_values=ahead)
    ahead(arguments, known_only=True)
    folder = flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
    if ahead["workdir"].value is None:  # Parsing the flags will say so, or show the help.
        return folder, flags.DEFINE_string("config", None, "The config kept in --workdir, with overrides.")
    config = read_config(Workdir(ahead["workdir"].value).config)
    return folder, config_flags.DEFINE_config_dict("config", config, "The config kept in --workdir.")
