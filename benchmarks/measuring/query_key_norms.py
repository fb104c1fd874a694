"""How large the queries and keys of a model are, which decides how well random features estimate its attention."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from reformer_tf.layers.attention import SelfAttention


def measure(model: keras.Model, ids: Any) -> list[dict[str, float]]:
    """Measures the queries and keys of each attention layer, over all tokens and heads of a batch.

    With x = q D^-1/4 and y = k D^-1/4 a logit is x·y, and features are estimates of exp(x·y): Choromanski et al., 2021.

    Args:
        model: a model whose attention layers have keys of their own.
        ids: integers `[B, L]`.

    Returns:
        One dict a layer: `query_norm` and `key_norm`, the means of |x| and |y|; `query_std` and `key_std`, the standard
        deviations of the entries of q and k.
    """
    found = []
    for query, key in _queries_and_keys(model, ids):
        size = key.shape[-1]
        query = query * size**0.5  # Layers scale queries by D^-1/2.
        numbers = {}
        for name, vectors in {"query": query, "key": key}.items():
            numbers[f"{name}_norm"] = float(tf.reduce_mean(tf.norm(vectors, axis=-1))) * size**-0.25
            numbers[f"{name}_std"] = float(tf.math.reduce_std(vectors))
        found.append(numbers)
    return found


def _queries_and_keys(model: keras.Model, ids: Any) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """The queries and keys that each attention layer attends with in a call of the model."""
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, SelfAttention)]
    seen: dict[str, tuple[tf.Tensor, tf.Tensor]] = {}
    with contextlib.ExitStack() as recordings:
        for layer in layers:
            recordings.enter_context(_recording(layer, seen))
        model(ids)
    return [seen[layer.name] for layer in layers]


@contextlib.contextmanager
def _recording(layer: SelfAttention, seen: dict[str, tuple[tf.Tensor, tf.Tensor]]) -> Iterator[None]:
    attend = layer.attend

    def recorded(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, **others: Any) -> tf.Tensor:
        seen[layer.name] = query, key
        return attend(query, key, value, **others)

    object.__setattr__(layer, "attend", recorded)  # Keras would track what is set in its own way.
    try:
        yield
    finally:
        object.__delattr__(layer, "attend")
