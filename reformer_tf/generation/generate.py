"""Continues prompts with a causal model, running the prefix again for each new token."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from reformer_tf.layers import arguments

SAMPLERS = ("greedy", "random")
# Prefixes are padded to a multiple of this, so that few shapes occur.
_LENGTH_STEP = 128


def generate(
    model: Any,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    sampler: str,
    temperature: float,
    seed: int | None,
) -> list[list[int]]:
    """See `ReformerCausalLM.generate`; `model` is such a model."""
    arguments.positive_integer("max_new_tokens", max_new_tokens)
    if sampler not in SAMPLERS:
        raise ValueError(f"sampler must be one of {SAMPLERS}. Received: sampler={sampler!r}")
    if not temperature > 0:
        raise ValueError(f"temperature must be positive. Received: temperature={temperature}")
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
    seed = random.randrange(2**31) if seed is None else seed

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None], tf.int32)])
    def next_logits(ids: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        hidden = model.backbone(ids)
        last = tf.gather(hidden, lengths - 1, batch_dims=1)[:, None, :]
        return model.head(last)[:, 0]

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
    for step in range(max_new_tokens):
        scores = logits(rows).astype(np.float64)
        if sampler == "random":
            # A row's noise is its own: what the other rows are does not matter.
            noise = [
                np.random.default_rng([seed, index, step]).gumbel(size=scores.shape[1]) for index in range(len(rows))
            ]
            scores = scores / temperature + np.stack(noise)
        for tokens, score in zip(rows, scores, strict=True):
            tokens.append(int(np.argmax(score)))
    return [row[start:] for row, start in zip(rows, starts, strict=True)]
