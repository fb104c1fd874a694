"""A tiny run of each task, for the tests of every task: a new one needs an entry in `CASES`."""

import pathlib
from collections.abc import Callable

from ml_collections import ConfigDict

from tests.trainer import runs


def _language_model(folder: pathlib.Path) -> ConfigDict:
    return runs.make_config(runs.write_corpus(folder / "corpus"))


# config.task -> a config of one small layer with dropout, on data that it writes to a folder
CASES: dict[str, Callable[[pathlib.Path], ConfigDict]] = {"language_model": _language_model}


def make_config(task: str, folder: pathlib.Path) -> ConfigDict:
    """Makes the config of a run of 4 steps that saves every 2, evaluates once, and ends with a report and an export.

    Args:
        task: `config.task`.
        folder: Where to write its data.
    """
    config = CASES[task](folder)
    config.task = task
    config.train.steps, config.train.checkpoint_every, config.train.eval_every = 4, 2, 0
    config.export = config.report = True
    return config
