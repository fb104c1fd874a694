"""The tokenizers that `config.data.tokens` names."""

import functools
import os
from collections.abc import Mapping
from typing import Any

from reformer_tf import local_paths
from reformer_tf.tokenizers import ByteTokenizer, SentencePieceTokenizer, Tokenizer

BYTES = ByteTokenizer()
# The ids of the released enwik8 model, whose sequences began with a 0.
SHIFTED_BYTES = ByteTokenizer(first=2, boundary=0)
BYTE_TOKENIZERS = {"bytes": BYTES, "shifted_bytes": SHIFTED_BYTES}
SENTENCEPIECE = "sentencepiece"
NAMES = (*BYTE_TOKENIZERS, SENTENCEPIECE)


def from_config(data: Mapping[str, Any]) -> Tokenizer:
    """Returns the tokenizer that `config.data` names.

    Raises:
        ValueError: If there is no such tokenizer, or it cannot be used.
    """
    name = data.get("tokens", "bytes")  # Runs older than the field have bytes.
    if name == SENTENCEPIECE:
        path = data.get("sentencepiece_model", "")
        return _load_sentencepiece(os.fspath(local_paths.checked("config.data.sentencepiece_model", path)))
    if name not in BYTE_TOKENIZERS:
        raise ValueError(f"config.data.tokens must be one of {', '.join(NAMES)}. Received: {name!r}")
    return BYTE_TOKENIZERS[name]


def for_export(data: Mapping[str, Any], sentencepiece: bool) -> Tokenizer | None:
    """Returns the tokenizer of the signatures for strings; None for no such signatures.

    Args:
        data: `config.data`.
        sentencepiece: Whether a SentencePiece run gets them. They need TensorFlow Text wherever the export is loaded.

    Raises:
        ValueError: If `sentencepiece` is True and the run has another tokenizer.
    """
    is_sentencepiece = data["tokens"] == SENTENCEPIECE
    if not is_sentencepiece:
        refuse_for_export(sentencepiece, f"the tokenizer of a run is {data['tokens']!r}")
    return None if is_sentencepiece and not sentencepiece else from_config(data)


def refuse_for_export(sentencepiece: bool, where: str) -> None:
    """Refuses signatures for strings that an export of a run cannot have.

    Args:
        sentencepiece: Whether they are asked for, see `for_export`.
        where: Why it cannot have them.

    Raises:
        ValueError: If they are asked for.
    """
    if sentencepiece:
        raise ValueError(f"`sentencepiece` must not be asked for where {where}. Received: {sentencepiece}")


@functools.lru_cache(maxsize=4)
def _load_sentencepiece(path: str) -> SentencePieceTokenizer:
    try:
        tokenizer = SentencePieceTokenizer(path)
        tokenizer.byte_counts.setflags(write=False)  # Computed here, so that a missing package is found out early.
    except ValueError as error:
        raise ValueError(f"config.data.sentencepiece_model cannot be used: {error}") from error
    return tokenizer
