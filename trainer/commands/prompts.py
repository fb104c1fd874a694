"""Prompts of any length and any bytes: where they come from, and how much of them a model can read."""

import os
import sys
from typing import NamedTuple

from reformer_tf import local_paths
from trainer.data.tokenizers import Tokenizer

STANDARD_INPUT = "-"
DEFAULT_TOKENS = 200


class Fitted(NamedTuple):
    """A prompt beside the tokens that are to follow it.

    Attributes:
        ids: What the model reads, at least one id.
        tokens: How many new tokens there may be.
        is_cut: Whether `ids` are the last part of the prompt.
    """

    ids: list[int]
    tokens: int
    is_cut: bool


def read(prompt: str | None, file: str | None) -> bytes:
    """The bytes of a prompt.

    Args:
        prompt: The prompt as an argument of the command, of any bytes.
        file: A file of it; `-` is standard input.

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

    A prompt that does not fit beside them loses its beginning. Tokens that are asked for may take half of the model's
    length, or what the prompt leaves if that is more. By default there are 200: less where the prompt leaves less, but
    not less than a quarter of the model's length.

    Args:
        prompt: The bytes.
        tokens: How many tokens are asked for; None for the default.
        longest: The model's `max_sequence_length`.
        tokenizer: How the model numbers its tokens.

    Raises:
        ValueError: If there can be no so many tokens.
    """
    # No more is encoded than the model may read, however long the prompt is.
    last = prompt[-longest * int(tokenizer.byte_counts.max()) :]
    ids = tokenizer.encode(last).tolist()
    is_whole = len(last) == len(prompt)
    if not is_whole:
        ids = ids[1:] or ids  # The boundary is not there.
    # The last new token is never fed.
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
