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


def output_follows_length(model: Any) -> bool:
    """Whether what a token gives depends on how long the sequence is, as with `window="chunk"`.

    Then each new token takes a pass over the whole prefix, as long as it is; nothing of the pass before can be kept.
    """
    return any(getattr(layer, "window", None) == "chunk" for layer in model._flatten_layers())


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

    def scores_of(rows: list[list[int]], width: int) -> np.ndarray:
        ids = np.zeros((len(rows), width), np.int32)
        for row, tokens in zip(ids, rows, strict=True):
            row[: len(tokens)] = tokens
        lengths = np.asarray([len(row) for row in rows], np.int32)
        return next_logits(ids, lengths).numpy().astype(np.float64)

    follows_length = output_follows_length(model)
    starts = [len(row) for row in rows]
    for step in range(max_new_tokens):
        lengths = np.asarray([len(row) for row in rows])
        if follows_length:
            scores = np.zeros((len(rows), model.backbone.config["vocabulary_size"]))
            for length in np.unique(lengths):
                (same,) = np.nonzero(lengths == length)
                scores[same] = scores_of([rows[index] for index in same], int(length))
        else:
            # The model is strictly causal: what stands after a row's end does not reach its last token.
            scores = scores_of(rows, min(-(-int(lengths.max()) // _LENGTH_STEP) * _LENGTH_STEP, longest))
        if sampler == "random":
            # A row's noise is its own: what the other rows are does not matter.
            noise = [
                np.random.default_rng([seed, index, step]).gumbel(size=scores.shape[1]) for index in range(len(rows))
            ]
            scores = scores / temperature + np.stack(noise)
        for tokens, score in zip(rows, scores, strict=True):
            tokens.append(int(np.argmax(score)))
    return [row[start:] for row, start in zip(rows, starts, strict=True)]
