"""What the ids of a run stand for: tables of vectors by id fit another run only where ids mean the same."""

import hashlib
import pathlib
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from reformer_tf import local_paths
from trainer import tasks
from trainer.data import corpora, tokenizers


def of_config(config: ConfigDict) -> str:
    """Says what the ids of a run stand for, in words that are equal where the ids mean the same.

    Args:
        config: Config of a run.

    Returns:
        The tokenizer of a run of text. Of ids that people made nothing is known but their number, without a mask.

    Raises:
        ValueError: If the source of the data is not known here, or a SentencePiece model cannot be read.
    """
    corpora.import_module(config.data.module)
    if config.data.name not in corpora.SOURCES:
        raise ValueError(
            f"`config.data.name` must be a source that is known here, {', '.join(corpora.SOURCES)}. "
            f"Received: {config.data.name!r}"
        )
    if corpora.SOURCES[config.data.name].has_text:
        return _tokenizer(config.data)
    return f"{config.model.vocabulary_size - tasks.TASKS[config.task].has_mask} ids that are no text"


def _tokenizer(data: Mapping[str, Any]) -> str:
    if data["tokens"] != tokenizers.SENTENCEPIECE:
        return str(data["tokens"])
    path = local_paths.checked("`config.data.sentencepiece_model`", data["sentencepiece_model"])
    try:
        content = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise ValueError(
            f"`config.data.sentencepiece_model` must be a file that can be read. Received: {path}: {error}"
        ) from error
    return f"{tokenizers.SENTENCEPIECE} with the model of SHA-256 {hashlib.sha256(content).hexdigest()[:16]}"
