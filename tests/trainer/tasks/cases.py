"""A tiny run of each task, for the tests of every task: a new one needs an entry in `CASES`."""

import json
import pathlib
import random
from collections.abc import Callable
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from tests.trainer import runs
from trainer.config import default_config, default_data_config


def _language_model(folder: pathlib.Path) -> ConfigDict:
    return runs.make_config(runs.write_corpus(folder / "corpus"))


def _masked_language_model(folder: pathlib.Path) -> ConfigDict:
    config = runs.make_config(runs.write_corpus(folder / "corpus"))
    config.model.vocabulary_size = 258
    return config


def write_labelled_texts(file: pathlib.Path, count: int = 40) -> pathlib.Path:
    """Writes texts of letters from the first or second half of the alphabet, labelled so, and returns the file."""
    rng = random.Random(0)
    halves = {"first": "abcdefghijklm", "second": "nopqrstuvwxyz"}
    rows = [
        {"text": "".join(rng.choices(halves[label], k=rng.randint(1, 90))), "label": label}
        for label in rng.choices([*halves], k=count)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def _classification(folder: pathlib.Path) -> ConfigDict:
    config = runs.make_config(folder)
    config.data.name, config.data.path = "labelled_text", str(write_labelled_texts(folder / "texts.jsonl"))
    config.data.layout = "padded"
    config.model.num_classes = 2
    config.sample.tokens = default_config().sample.tokens  # No field of this task.
    return config


def _pairs(folder: pathlib.Path) -> ConfigDict:
    """The classification of pairs: whether both texts are of one half of the alphabet."""
    config = _classification(folder)
    path = folder / "texts.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    pairs = [
        {"one": row["text"], "two": other["text"], "same": int(row["label"] == other["label"])}
        for row, other in zip(rows, [*rows[1:], rows[0]], strict=True)
    ]
    path.write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    config.data.text_key, config.data.pair_key, config.data.label_key = "one", "two", "same"
    config.model.pair = True
    return config


def _ids(folder: pathlib.Path) -> ConfigDict:
    config = runs.make_config(folder / "rows.npy")
    np.save(folder / "rows.npy", np.random.default_rng(0).integers(0, 20, [60, 33], np.uint16))
    config.data.name, config.data.layout = "tokens", "padded"
    config.model.vocabulary_size, config.train.sequence_length = 20, 32
    return config


def _duplication(folder: pathlib.Path) -> ConfigDict:
    config = runs.make_config(folder)
    config.data.name, config.data.path, config.data.layout = "duplication", "", "padded"
    config.data.validation_fraction = default_data_config().validation_fraction  # No field of this source.
    config.data.length, config.data.symbols, config.model.vocabulary_size = 64, 19, 20
    config.data.examples, config.data.validation_examples = 64, 16
    return config


def _masked_ids(folder: pathlib.Path) -> ConfigDict:
    config = _ids(folder)
    config.model.vocabulary_size = 21
    return config


def _masked_duplication(folder: pathlib.Path) -> ConfigDict:
    config = _duplication(folder)
    config.model.vocabulary_size = 21
    return config


def make_pair_model(**options: Any) -> ConfigDict:
    """Makes the arguments of a small model of pairs of byte texts."""
    small = {
        "source_vocabulary_size": 257,
        "target_vocabulary_size": 257,
        "max_source_length": 16,
        "max_target_length": 72,
        "num_encoder_layers": 1,
        "num_decoder_layers": 1,
        "hidden_dim": 16,
        "num_heads": 2,
        "key_dim": 8,
        "intermediate_dim": 32,
        "encoder_attention_layers": ("full",),
        "decoder_attention_layers": ("local",),
        "local_chunk_length": 8,
        "reversible": False,
        "label_smoothing": 0.1,
        "dropout": 0.1,
        "attention_dropout": 0.1,
    }
    return ConfigDict({**small, **options})


def _number_words(folder: pathlib.Path) -> ConfigDict:
    config = runs.make_config(folder)
    config.data.name, config.data.path, config.data.layout = "number_words", "", "padded"
    config.data.validation_fraction = default_data_config().validation_fraction  # No field of this source.
    config.data.examples, config.data.validation_examples, config.data.source_length = 64, 12, 6
    config.model = make_pair_model()
    config.train.sequence_length = 68
    config.translation.examples, config.translation.max_new_tokens, config.translation.num_beams = 4, 6, 2
    config.sample.tokens = default_config().sample.tokens  # No field of this task.
    return config


# config.task, or it and a variant -> a config of one small layer with dropout, on data that it writes to a folder
CASES: dict[str, Callable[[pathlib.Path], ConfigDict]] = {
    "language_model": _language_model,
    "language_model of ids": _ids,
    "language_model of some ids": _duplication,
    "masked_language_model": _masked_language_model,
    "masked_language_model of ids": _masked_ids,
    "masked_language_model of some ids": _masked_duplication,
    "classification": _classification,
    "classification of pairs": _pairs,
    "sequence_to_sequence": _number_words,
}


def make_config(task: str, folder: pathlib.Path) -> ConfigDict:
    """Makes the config of a run of 4 steps that saves every 2, evaluates once, and ends with a report and an export.

    Args:
        task: A name of `CASES`.
        folder: Where to write its data.
    """
    config = CASES[task](folder)
    config.task = task.split()[0]
    config.train.steps, config.train.checkpoint_every, config.train.eval_every = 4, 2, 0
    config.export = config.report = True
    return config
