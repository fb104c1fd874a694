"""Sampling of tokens for the rows of a request, each with settings of its own.

Shape letters: B rows, V tokens of the vocabulary.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from reformer_tf.export import requests
from reformer_tf.generation.samplers import filters
from reformer_tf.ops import graph_checks

# Lower temperatures would only overflow: at this one the likeliest token is always drawn.
_COLDEST = 1e-4
SPECS = [
    tf.TensorSpec([None], dtype, name)
    for name, dtype in (
        ("max_new_tokens", tf.int32),
        ("temperature", tf.float32),
        ("top_k", tf.int32),
        ("top_p", tf.float32),
        ("seed", tf.int32),
    )
]
"""The inputs that are the fields of `Settings`."""


class Settings(NamedTuple):
    """The settings of a request, `[B]` each.

    Attributes:
        max_new_tokens: int32, at least 1.
        temperature: float32, divides the logits; 0 takes the likeliest token.
        top_k: int32, the number of likeliest tokens to draw from; 0 for all.
        top_p: float32, above 0 and at most 1, the total probability of the likeliest tokens to draw from.
        seed: int32, decides the draws of a row.
    """

    max_new_tokens: tf.Tensor
    temperature: tf.Tensor
    top_k: tf.Tensor
    top_p: tf.Tensor
    seed: tf.Tensor

    def checked(self, rows: tf.Tensor, first: str = "text") -> "Settings":
        """Returns the same settings, if each has one valid value for each row of the input `first`."""
        values = requests.all_one_a_row(self._asdict(), rows, first)
        return Settings(
            max_new_tokens=graph_checks.checked(
                values["max_new_tokens"],
                graph_checks.between("max_new_tokens", values["max_new_tokens"], 1, None, "be at least 1"),
            ),
            temperature=graph_checks.checked(
                values["temperature"],
                graph_checks.between(
                    "temperature", values["temperature"], 0, tf.float32.max, "be finite and at least 0"
                ),
            ),
            top_k=graph_checks.checked(
                values["top_k"], graph_checks.between("top_k", values["top_k"], 0, None, "be at least 0, which is all")
            ),
            top_p=graph_checks.checked(
                values["top_p"],
                graph_checks.between(
                    "top_p", values["top_p"], np.finfo(np.float32).tiny, 1, "be above 0 and at most 1"
                ),
            ),
            seed=values["seed"],
        )

    def choose(self, logits: tf.Tensor, positions: tf.Tensor, seen: tf.Tensor | None = None) -> tf.Tensor:
        """Chooses the next token of each row.

        Args:
            logits: float32 `[B, V]`.
            positions: int32 `[B]`, the position of the new token in its row.
            seen: not used.

        Returns:
            int32 `[B]`.
        """
        del seen
        scaled = logits / tf.maximum(self.temperature, _COLDEST)[:, None]
        drawn = filters.draw(filters.top_p(filters.top_k(scaled, self.top_k), self.top_p), self.seed, positions)
        likeliest = tf.argmax(logits, axis=-1, output_type=tf.int32)
        return tf.where(self.temperature > 0, drawn, likeliest)
