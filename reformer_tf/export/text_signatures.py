"""Signatures that take strings.

Shape letters: B batch, L length, V vocabulary size.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from reformer_tf.export import requests
from reformer_tf.export.ids_signatures import Signature, mean_bits
from reformer_tf.export.independent_rows import IndependentRows
from reformer_tf.export.tokenizer import Tokenizer

_TEXT = tf.TensorSpec([None], tf.string, name="text")


def make(rows: IndependentRows, tokenizer: Tokenizer) -> dict[str, Signature]:
    """Makes the signatures for strings, by name. See `reformer_tf.export.export_saved_model`."""
    text = np.array([b"a"], object)
    return {"score": Signature(_score(rows, tokenizer), {"text": text})}


def _score(rows: IndependentRows, tokenizer: Tokenizer) -> Any:
    @tf.function(input_signature=[_TEXT], autograph=False)
    def score(text: tf.Tensor) -> dict[str, tf.Tensor]:
        text = requests.checked(text, requests.has_rows("text", text))
        # The last token is not fed, only predicted, so there is room for the boundary.
        ids, lengths = tokenizer.encode(text, 1, rows.longest)
        losses = rows.token_losses(after_boundary(tokenizer, ids), lengths + 1)
        return {
            "bits_per_byte": mean_bits(losses, tf.strings.length(text)),
            "token_log_probabilities": 0.0 - losses,
        }

    return score


def after_boundary(tokenizer: Tokenizer, ids: tf.Tensor) -> tf.Tensor:
    """Puts the boundary before each row, `[B, T]` to `[B, 1 + T]`."""
    return tf.pad(ids, [[0, 0], [1, 0]], constant_values=tokenizer.boundary)
