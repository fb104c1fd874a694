"""The flag `--config` of a benchmark, and the flags of its fields, as the trainer takes them."""

import re
import sys

from absl import flags

from trainer.commands import command_line


def define() -> None:
    """Defines `--config`, None by default. Call it before the flags are parsed; ends the process if it is not right."""
    command_line.or_refuse(_define)


def _define() -> None:
    help_text = "File with the config of a run, in place of flags of the model; --config.FIELD=VALUE sets a field."
    if not any(re.match(r"--?config(=|$)", argument) for argument in sys.argv[1:]):
        flags.DEFINE_string("config", None, help_text)
        return
    from trainer.commands import config_file, config_flag  # These import TensorFlow, which takes seconds.

    (file,) = config_flag.peek_flags(["config"])
    config_flag.define(config_file.load(file or ""), help_text)
