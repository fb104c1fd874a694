"""A config that a run keeps, as a config file: `--config=trainer/kept_config.py:DIR/config.json`."""

from ml_collections import ConfigDict

from trainer.config import read_config


def get_config(path: str) -> ConfigDict:
    """Returns the config in a file that a run wrote."""
    return read_config(path)
