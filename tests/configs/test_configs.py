"""Every config passes the checks of a run unchanged, and its header says command, time and result."""

import importlib
import pathlib

import pytest

from tests.tokenizers import pieces
from trainer import data_checks
from trainer.config_checks import check_batch, check_config

NAMES = sorted(
    path.stem for path in (pathlib.Path(__file__).parents[2] / "configs").glob("*.py") if path.stem != "__init__"
)
FIELDS = (
    "train.log_every",
    "train.checkpoint_every",
    "model.dropout",
    "model.attention_dropout",
    "logical_devices",
    "export",
)


@pytest.mark.parametrize("name", NAMES)
def test_config(name, tmp_path):
    module = importlib.import_module(f"configs.{name}")
    config = module.get_config()
    if config.data.name == "labelled_text":
        config.data.path = "texts.jsonl"  # Which the command names.
    if config.data.tokens == "sentencepiece":
        config.data.sentencepiece_model = str(pieces.train(tmp_path, vocab_size=50))  # As well.
    check_config(config)
    check_batch(config, replicas=1)
    assert data_checks.unused_fields(config) == {}
    for field in FIELDS:
        value = config
        for part in field.split("."):
            value = value[part]
    assert f"--config=configs/{name}.py --workdir=" in module.__doc__
    assert "Time: " in module.__doc__
    assert "Result: " in module.__doc__
