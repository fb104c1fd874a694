"""Checks of the prompts, stop tokens and seeds of `generate` and `stream`, and their conversion to plain integers."""

import random
import reprlib
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np
import tensorflow as tf

from reformer_tf.layers import arguments


def parse_rows(prompts: Any, vocabulary_size: int, name: str = "prompts") -> list[list[int]]:
    """Checks several prompts.

    Args:
        prompts: rows of ids: lists, arrays, tensors, ragged tensors.
        vocabulary_size: V.
        name: of the argument, for errors.

    Raises:
        ValueError: if they are not rows of at least one id of the vocabulary each.
    """
    rows = _plain(name, prompts)
    if isinstance(rows, list) and rows and all(arguments.is_number(row) for row in rows):
        raise ValueError(
            f"{name} must be a list of rows, each a list of ids; did you mean [{name.removesuffix('s')}]?"
            f" Received: {name}={reprlib.repr(rows)}"
        )
    if not isinstance(rows, list):
        raise ValueError(f"{name} must be rows of integer ids. Received: {name}={reprlib.repr(rows)}")
    if not rows:
        raise ValueError(f"{name} must be rows of at least one id. Received: an empty list")
    return [_ids(name, row, vocabulary_size) for row in rows]


def parse_row(prompt: Any, vocabulary_size: int) -> list[int]:
    """Checks one prompt.

    Raises:
        ValueError: if it is not at least one id of the vocabulary, or a batch of prompts.
    """
    row = _plain("prompt", prompt)
    if isinstance(row, list) and any(isinstance(entry, list) for entry in row):
        raise ValueError(
            "prompt must be one row of ids to be streamed; generate takes several rows."
            f" Received: prompt={reprlib.repr(row)}"
        )
    return _ids("prompt", row, vocabulary_size)


def stop_ids(stop_tokens: Any, vocabulary_size: int) -> np.ndarray:
    """Checks stop tokens; returns int32 `[T]`, T >= 0.

    Raises:
        ValueError: if they are not ids of the vocabulary.
    """
    # A set has no order, and none matters.
    tokens = _plain("stop_tokens", sorted(stop_tokens) if isinstance(stop_tokens, AbstractSet) else stop_tokens)
    if not isinstance(tokens, list):
        raise ValueError(f"stop_tokens must be a list of ids, such as [0]. Received: stop_tokens={tokens!r}")
    return np.asarray(_ids("stop_tokens", tokens, vocabulary_size) if tokens else [], np.int32)


def row_seeds(seed: Any, rows: int) -> np.ndarray:
    """One seed for each row, `[rows]` int32: the caller's, or the same one for all rows, or drawn ones.

    Raises:
        ValueError: if they are not integers of 32 bits, or not one for each row.
    """
    if seed is None:
        return np.asarray([random.randrange(2**31) for _ in range(rows)], np.int32)
    numbers = _plain("seed", seed)
    numbers = [arguments.integer("seed", n) for n in (numbers if isinstance(numbers, list) else [numbers] * rows)]
    if len(numbers) != rows or not all(-(2**31) <= number < 2**31 for number in numbers):
        raise ValueError(
            f"seed must be an integer of 32 bits, or one for each of {rows} prompts. Received: seed={seed!r}"
        )
    return np.asarray(numbers, np.int32)


def _plain(name: str, value: Any) -> Any:
    """Converts tensors, arrays and other sequences to nested lists; returns scalars unchanged."""
    if isinstance(value, tf.SparseTensor):
        arguments.dense(name, value)
    if isinstance(value, tf.Tensor | tf.RaggedTensor):
        if not tf.executing_eagerly():
            raise ValueError(f"{name} must have values: call outside of tf.function. Received: {name}={value}")
        return value.to_list() if isinstance(value, tf.RaggedTensor) else value.numpy().tolist()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping | AbstractSet):
        return [_plain(name, entry) for entry in value]
    return value


def _ids(name: str, row: Any, vocabulary_size: int) -> list[int]:
    """Checks a row of at least one id of the vocabulary."""
    if not isinstance(row, list):
        raise ValueError(f"{name} must hold integer ids in lists. Received: {reprlib.repr(row)}")
    if not row:
        raise ValueError(f"{name} must hold at least one id a row. Received: an empty list")
    for token in row:
        if not isinstance(token, int | np.integer) or isinstance(token, bool):
            raise ValueError(f"{name} must hold integer ids. Received: {reprlib.repr(token)} in a row")
        if not 0 <= token < vocabulary_size:
            raise ValueError(
                f"{name} must be ids from 0 to vocabulary_size - 1 = {vocabulary_size - 1}. Received: {token}"
            )
    return [int(token) for token in row]
