"""The kinds of attention by name: what `attention_layers=["local", "lsh"]` of a model means."""

from typing import Any

from reformer_tf.layers.attention.base import SelfAttention
from reformer_tf.layers.attention.full import FullSelfAttention
from reformer_tf.layers.attention.local import LocalSelfAttention
from reformer_tf.layers.attention.lsh import LSHSelfAttention

ATTENTION_LAYERS: dict[str, type[SelfAttention]] = {
    "full": FullSelfAttention,
    "local": LocalSelfAttention,
    "lsh": LSHSelfAttention,
}


def get(kind: Any) -> type[SelfAttention]:
    """Returns the class of a kind of attention.

    Raises:
        ValueError: if there is no such kind.
    """
    if kind not in ATTENTION_LAYERS:
        raise ValueError(f"attention_layers must name kinds among {sorted(ATTENTION_LAYERS)}. Received: {kind!r}")
    return ATTENTION_LAYERS[kind]
