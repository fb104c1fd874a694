"""Signatures that take ids.

Shape letters: B batch, L length, V vocabulary size, M width of the backbone's vectors.
"""

import dataclasses
import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from reformer_tf.export import requests
from reformer_tf.export.independent_rows import IndependentRows
from reformer_tf.models import ReformerCausalLM
from reformer_tf.models.headed_model import HeadedModel

EXAMPLE_LENGTH = 8
IDS = tf.TensorSpec([None, None], tf.int32, name="ids")


@dataclasses.dataclass(frozen=True)
class Signature:
    """One signature of an export.

    Attributes:
        function: a `tf.function` with an input signature, from named inputs to a dict of outputs.
        inputs: the inputs with their ranks; the function's own signature leaves the ranks open and checks them.
        example: a valid request, values by the name of the input.
    """

    function: Any
    inputs: tuple[tf.TensorSpec, ...]
    example: dict[str, np.ndarray]


def make(model: HeadedModel, rows: IndependentRows) -> dict[str, Signature]:
    """Makes the signatures that a model has for ids, by name. See `reformer_tf.export.export_saved_model`."""
    length = min(EXAMPLE_LENGTH, rows.longest)
    example = {"ids": np.arange(length, dtype=np.int32)[None] % rows.vocabulary_size}
    signatures = {
        "predict": Signature(_predict(rows), (IDS,), example),
        "embed": Signature(_embed(rows), (IDS,), example),
    }
    if isinstance(model, ReformerCausalLM):
        ids = np.arange(length + 1, dtype=np.int32)[None] % rows.vocabulary_size
        signatures["score_ids"] = Signature(_score_ids(rows), (IDS,), {"ids": ids})
    return signatures


def make_plain(model: keras.Model) -> dict[str, Signature]:
    """Makes the only signature of any other Keras model: it passes ids on unchanged. Id 0 is valid in every model."""

    @tf.function(input_signature=requests.any_rank_specs([IDS]), autograph=False)
    def predict(ids: tf.Tensor) -> dict[str, tf.Tensor]:
        ids = requests.with_rank(IDS, ids)
        return _named(tf.nest.map_structure(lambda result: tf.cast(result, tf.float32), model(ids)))

    return {"predict": Signature(predict, (IDS,), {"ids": np.zeros([1, EXAMPLE_LENGTH], np.int32)})}


def embeddings(vectors: tf.Tensor, lengths: tf.Tensor) -> dict[str, tf.Tensor]:
    """The outputs of `embed`: vectors of tokens, float32 `[B, L, M]`, zero for padding, and their means `[B, M]`."""
    mean = tf.reduce_sum(vectors, axis=1) / tf.cast(lengths, vectors.dtype)[:, None]
    return {"token_embeddings": vectors, "embedding": mean}


def mean_bits(losses: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
    """Averages the losses of each row over its tokens or bytes.

    Args:
        losses: float32 `[B, L]`, nats.
        counts: int32 `[B]`, the number of tokens or bytes.

    Returns:
        float32 `[B]`, bits per token or byte.
    """
    return tf.reduce_sum(losses, axis=1) / (tf.cast(counts, losses.dtype) * math.log(2.0))


def log_probabilities(losses: tf.Tensor) -> tf.Tensor:
    """Negates losses; a loss of zero gives 0.0 and not -0.0.

    TensorFlow would turn `0.0 - losses` into a plain negation.
    """
    return tf.where(tf.equal(losses, 0.0), 0.0, -losses)


def _predict(rows: IndependentRows) -> Any:
    @tf.function(input_signature=requests.any_rank_specs([IDS]), autograph=False)
    def predict(ids: tf.Tensor) -> dict[str, tf.Tensor]:
        ids = requests.with_rank(IDS, ids)
        return _named(rows.outputs(*requests.padded_ids(ids, rows.vocabulary_size, 1, rows.longest)))

    return predict


def _embed(rows: IndependentRows) -> Any:
    @tf.function(input_signature=requests.any_rank_specs([IDS]), autograph=False)
    def embed(ids: tf.Tensor) -> dict[str, tf.Tensor]:
        ids = requests.with_rank(IDS, ids)
        ids, lengths = requests.padded_ids(ids, rows.vocabulary_size, 1, rows.longest)
        return embeddings(rows.vectors(ids, lengths), lengths)

    return embed


def _score_ids(rows: IndependentRows) -> Any:
    @tf.function(input_signature=requests.any_rank_specs([IDS]), autograph=False)
    def score_ids(ids: tf.Tensor) -> dict[str, tf.Tensor]:
        ids = requests.with_rank(IDS, ids)
        # The last token is a target and no input, so a row may have one token more.
        ids, lengths = requests.padded_ids(ids, rows.vocabulary_size, 2, rows.longest + 1)
        losses = rows.token_losses(ids, lengths)
        return {"token_log_probabilities": log_probabilities(losses), "bits_per_token": mean_bits(losses, lengths - 1)}

    return score_ids


def _named(results: Any) -> dict[str, tf.Tensor]:
    return results if isinstance(results, dict) else {"logits": results}
