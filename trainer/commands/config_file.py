"""Reads the file that `--config` names: a Python file with `get_config`, or the `config.json` of a run."""

import importlib.machinery
import importlib.util
import os
import re
import sys
import traceback

from ml_collections import ConfigDict

from reformer_tf import local_paths
from trainer.config import read_config

_PARAMETER = re.compile(r"(.+?\.py):(.*)", re.DOTALL)
_MODULE = "config_of_a_run"


def load(file: str) -> ConfigDict:
    """Reads a config.

    Args:
        file: Path of a Python file, perhaps with a parameter of its `get_config` behind a colon, as in
            `configs/mine.py:small`; or of a JSON file.

    Returns:
        The config, locked, so that flags can set only fields that it has.

    Raises:
        ValueError: If there is no such file, or if it makes no config.
    """
    match = _PARAMETER.fullmatch(file)
    parameters = [match[2]] if match else []
    path = local_paths.checked("`config`", match[1] if match else file)
    if not path.is_file():
        raise ValueError(f"`config` must name a config file, such as configs/quickstart.py. Received: {path}, no file")
    config = read_config(path) if path.suffix == ".json" else _run(os.fspath(path), parameters)
    config.lock()
    return config


def _run(path: str, parameters: list[str]) -> ConfigDict:
    """Runs a Python file and returns the config that its `get_config` makes."""
    loader = importlib.machinery.SourceFileLoader(_MODULE, path)
    spec = importlib.util.spec_from_loader(_MODULE, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[_MODULE] = module
    try:
        loader.exec_module(module)
        config = module.get_config(*parameters)
    # A user's file may raise anything, `SystemExit` included.
    except (Exception, SystemExit) as error:
        raise ValueError(
            f"`config` must name a file that can be run and has `get_config`. Received: {path}"
            f"{_line(error, path)}, which raised {type(error).__name__}: {error}"
        ) from error
    if not isinstance(config, ConfigDict):
        raise ValueError(
            f"`config` must name a file whose `get_config` returns a ConfigDict. Received: {path}, which returned a "
            f"{type(config).__name__}"
        )
    return config


def _line(error: BaseException, path: str) -> str:
    """Names the line of the file that raised an error; empty for a syntax error, whose message has it."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    return f", line {lines[-1]}" if lines else ""
