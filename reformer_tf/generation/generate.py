"""Continues prompts with a causal model, running the prefix again for each new token."""

import random
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from reformer_tf.generation import samplers
from reformer_tf.layers import arguments

# Prefixes are padded to a multiple of this, so that few shapes occur.
_LENGTH_STEP = 128
# Beside the models, not in them: Keras and SavedModels would take a function there for a part of the model.
_PROGRAMS: weakref.WeakKeyDictionary[Any, Callable] = weakref.WeakKeyDictionary()


def generate(
    model: Any,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    sampler: str | samplers.Sampler,
    seed: int | Sequence[int] | None,
    stop_tokens: Sequence[int] = (),
    **options: Any,
) -> list[list[int]]:
    """See `ReformerCausalLM.generate`; `model` is such a model."""
    arguments.positive_integer("max_new_tokens", max_new_tokens)
    chosen = samplers.get(sampler, **options)
    longest = model.backbone.config["max_sequence_length"]
    rows = [[arguments.integer("prompts", token) for token in prompt] for prompt in prompts]
    if not rows or any(not row for row in rows):
        raise ValueError("prompts must be rows of at least one id. Received: an empty list")
    # The last new token is never fed.
    if max(len(row) for row in rows) + max_new_tokens - 1 > longest:
        raise ValueError(
            f"A prompt and max_new_tokens must fit max_sequence_length={longest}."
            f" Received: a prompt of {max(len(row) for row in rows)} ids, max_new_tokens={max_new_tokens}"
        )
    row_seeds = _row_seeds(seed, len(rows))

    next_logits = _program(model)

    def together(rows: list[list[int]]) -> np.ndarray:
        """Logits `[rows, V]` of what follows each row; in a strictly causal model padding after it does not count."""
        lengths = [len(row) for row in rows]
        ids = np.zeros((len(rows), min(-(-max(lengths) // _LENGTH_STEP) * _LENGTH_STEP, longest)), np.int32)
        for row, tokens in zip(ids, rows, strict=True):
            row[: len(tokens)] = tokens
        return next_logits(ids, np.asarray(lengths, np.int32)).numpy()

    def one_by_one(rows: list[list[int]]) -> np.ndarray:
        """The same without any padding, each row by itself."""
        return np.concatenate([next_logits(np.asarray([row], np.int32), [len(row)]).numpy() for row in rows])

    logits = together if model.backbone.strictly_causal else one_by_one
    starts = [len(row) for row in rows]
    stops = {arguments.integer("stop_tokens", token) for token in stop_tokens}
    under_way = list(range(len(rows)))
    for _ in range(max_new_tokens):
        prefixes = [rows[index] for index in under_way]
        scores = logits(prefixes)
        seen = np.zeros(scores.shape, bool)
        for of_row, tokens in zip(seen, prefixes, strict=True):
            of_row[tokens] = True
        places = np.asarray([len(row) for row in prefixes], np.int32)
        for index, token in zip(under_way, chosen(scores, row_seeds[under_way], places, seen).numpy(), strict=True):
            rows[index].append(int(token))
        under_way = [index for index in under_way if rows[index][-1] not in stops]
        if not under_way:
            break
    return [row[start:] for row, start in zip(rows, starts, strict=True)]


def _program(model: Any) -> Callable[[Any, Any], tf.Tensor]:
    """Maps ids `[B, L]` and lengths `[B]` to the logits `[B, V]` of what follows; traced once a model."""
    if model in _PROGRAMS:
        return _PROGRAMS[model]
    reference = weakref.ref(model)  # A program that held the model would keep it alive for ever.

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None], tf.int32)])
    def next_logits(ids: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        traced: Any = reference()
        hidden = traced.backbone(ids)
        last = tf.gather(hidden, lengths - 1, batch_dims=1)[:, None, :]
        return traced.head(last)[:, 0]

    _PROGRAMS[model] = next_logits
    return next_logits


def _row_seeds(seed: int | Sequence[int] | None, rows: int) -> np.ndarray:
    """One seed a row, `[rows]` int32: those given, or the same one for all, or one drawn for each."""
    if seed is None:
        found = [random.randrange(2**31) for _ in range(rows)]
    elif isinstance(seed, Sequence):
        found = [arguments.integer("seed", number) for number in seed]
    else:
        found = [arguments.integer("seed", seed)] * rows
    if len(found) != rows or not all(-(2**31) <= number < 2**31 for number in found):
        raise ValueError(
            f"seed must be an integer of 32 bits, or one for each of {rows} prompts. Received: seed={seed!r}"
        )
    return np.asarray(found, np.int32)
