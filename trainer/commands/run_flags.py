"""Flags of the commands that work on a run: its folder, its config with overrides, its checkpoint."""

import sys
from collections.abc import Mapping, Sequence

from absl import flags
from ml_collections import ConfigDict, config_flags

from trainer.commands import command_line, config_file, config_flag
from trainer.config import read_config
from trainer.storage import checkpoint_choice
from trainer.storage.workdir import Workdir


def define_flags(
    arguments: Sequence[str] = (), flag_values: flags.FlagValues = flags.FLAGS
) -> tuple[flags.FlagHolder, flags.FlagHolder, flags.FlagHolder, flags.FlagHolder]:
    """Defines `--workdir`, `--config`, `--checkpoint` and `--average_checkpoints` of a command that uses a run.

    The config is the `config.json` of the folder, and `--config.model.num_hashes=8` sets a field of it.

    Args:
        arguments: The command line; by default that of this process.
        flag_values: Where to define them.

    Returns:
        The flags `workdir`, `config`, `checkpoint` and `average_checkpoints`.

    Raises:
        ValueError: If there is no run in the folder, or if a flag names a field that its config does not have.
        flags.Error: If a flag has no value.
    """
    workdir, file = config_flag.peek_flags(["workdir", "config"], arguments)
    folder = flags.DEFINE_string("workdir", None, "Folder of the run.", flag_values, required=True)
    checkpoint = flags.DEFINE_string(
        "checkpoint",
        checkpoint_choice.NEWEST,
        "Which to read: newest, best (by config.train.best_metric of the validation) or the number of a step.",
        flag_values,
    )
    average = flags.DEFINE_integer(
        "average_checkpoints",
        1,
        "Number of checkpoints whose mean the weights are: that of --checkpoint and the newest kept before it.",
        flag_values=flag_values,
    )
    if file is not None:
        raise ValueError(
            "`--config` must not be given: the config is the one kept in --workdir, of which flags such as "
            f"--config.model.num_hashes=8 set fields. Received: --config={file}"
        )
    help_text = "The config kept in --workdir; --config.model.num_hashes=8 sets a field of it."
    if workdir is None:
        _need("--workdir, the folder of a run", arguments)
        return folder, flags.DEFINE_string("config", None, help_text, flag_values), checkpoint, average
    config = read_config(Workdir(workdir).config)
    return folder, config_flag.define(config, help_text, arguments, flag_values), checkpoint, average


def overridden_fields() -> list[str]:
    """Names of the config fields that flags set, such as `data.path`. Call it after the flags are parsed."""
    overrides = config_flags.get_override_values(flags.FLAGS["config"])
    found = []
    for name, value in overrides.items():
        found += [f"{name}.{field}" for field in value] if isinstance(value, Mapping) else [name]
    return found


def define_config(
    arguments: Sequence[str] = (), flag_values: flags.FlagValues = flags.FLAGS
) -> flags.FlagHolder[ConfigDict]:
    """Defines `--config` of a command that begins or continues a run: a file, by default `config.json` of the folder.

    Args:
        arguments: The command line; by default that of this process.
        flag_values: Where to define it.

    Raises:
        ValueError: If there is no config, if it cannot be read, or if a flag names a field that it does not have.
        flags.Error: If a flag has no value.
    """
    workdir, file = config_flag.peek_flags(["workdir", "config"], arguments)
    help_text = "File with the config of the run; by default the config kept in --workdir."
    saved_config = None if workdir is None else Workdir(workdir).config
    if file is not None:
        config = config_file.load(file)
    elif saved_config is not None and saved_config.exists():
        config = read_config(saved_config)
    else:
        rest = "" if saved_config is None else f", as there is no {saved_config}"
        _need(f"--config, such as --config=configs/quickstart.py{rest}", arguments)
        return flags.DEFINE_string("config", None, help_text, flag_values)
    return config_flag.define(config, help_text, arguments, flag_values)


def _need(flag: str, arguments: Sequence[str]) -> None:
    """Refuses a command line without a flag, unless it asks which flags there are."""
    if not command_line.asks_for_help(arguments or sys.argv):
        raise ValueError(f"A command line must have {flag}. Received: none")
