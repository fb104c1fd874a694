"""Prompts of any length and any bytes: reading them, and cutting them to the length of a model."""

import os
import sys
from typing import NamedTuple

from reformer_tf import local_paths
from reformer_tf.tokenizers import Tokenizer

STANDARD_INPUT = "-"
DEFAULT_TOKENS = 200


class Fitted(NamedTuple):
    """A prompt that leaves enough of the model's length for new tokens.

    Attributes:
        ids: Ids of the prompt, at least one.
        tokens: Number of new tokens.
        is_cut: Whether the prompt lost its beginning.
    """

    ids: list[int]
    tokens: int
    is_cut: bool


def read(prompt: str | None, file: str | None) -> bytes:
    """Reads the bytes of a prompt.

    Args:
        prompt: The prompt as an argument of the command, of any bytes.
        file: File with the prompt; `-` is standard input.

    Raises:
        ValueError: If both are given, or the file cannot be read.
    """
    if file is None:
        return os.fsencode(prompt or "")
    if prompt is not None:
        raise ValueError(f"`prompt` and `prompt_file` must not both be given. Received: {prompt!r} and {file!r}")
    try:
        if file != STANDARD_INPUT:
            return local_paths.checked("`prompt_file`", file).read_bytes()
        if sys.stdin is None:
            raise ValueError("`prompt_file` must not be - where standard input is closed. Received: -")
        return sys.stdin.buffer.read()
    except OSError as error:
        raise ValueError(
            f"`prompt_file` must be a file that can be read, or - for standard input. Received: {file!r} "
            f"({error.strerror})"
        ) from error


def fit(prompt: bytes, tokens: int | None, longest: int, tokenizer: Tokenizer) -> Fitted:
    """Chooses how much of a prompt is read, and how many tokens follow.

    A prompt that is too long loses its beginning. `tokens` may be up to half of the model's length, or all that the
    prompt leaves if that is more. The default is 200, or fewer where the prompt leaves fewer, but at least a quarter of
    the model's length.

    Args:
        prompt: The bytes.
        tokens: Number of new tokens; None for the default.
        longest: The model's `max_sequence_length`.
        tokenizer: Tokenizer of the model.

    Raises:
        ValueError: If `tokens` is out of range.
    """
    # Encodes no more than the model can read, however long the prompt is.
    last = prompt[-longest * int(tokenizer.byte_counts.max()) :]
    ids = tokenizer.to_ids(last).tolist()
    is_whole = len(last) == len(prompt)
    if not is_whole:
        ids = ids[1:] or ids  # Without the boundary, as this is not the beginning of a document.
    return fit_ids(ids, tokens, longest, is_whole)


def fit_ids(ids: list[int], tokens: int | None, longest: int, is_whole: bool = True) -> Fitted:
    """Chooses how many ids of a prompt are read, and how many tokens follow; see `fit`.

    Args:
        ids: The ids, or the last of them.
        tokens: Number of new tokens; None for the default.
        longest: The model's `max_sequence_length`.
        is_whole: Whether these are all ids of the prompt.

    Raises:
        ValueError: If `tokens` is out of range.
    """
    # The last new token is no input, hence + 1.
    beside = longest + 1 - len(ids) if is_whole else 0
    if tokens is None:
        least = max(1, min(DEFAULT_TOKENS, longest // 4))
        tokens = max(least, min(DEFAULT_TOKENS, beside))
    most = max(1, longest // 2, beside)
    if not 1 <= tokens <= most:
        raise ValueError(
            f"`tokens` must be from 1 to {most}, what `config.model.max_sequence_length`, {longest}, leaves with this "
            f"prompt. Received: {tokens}"
        )
    capacity = longest + 1 - tokens
    return Fitted(ids[-capacity:], tokens, is_cut=not is_whole or len(ids) > capacity)
