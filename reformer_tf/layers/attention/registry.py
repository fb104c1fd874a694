"""The kinds of attention by name: what `attention_layers=["local", "lsh"]` of a model means.

A kind of one's own is a class that declares its `capabilities`, and an entry: `ATTENTION_LAYERS["mine"] = MyAttention`.
"""

from collections.abc import Callable, Iterable
from typing import Any

from reformer_tf.layers.attention import capabilities
from reformer_tf.layers.attention.base import SelfAttention
from reformer_tf.layers.attention.capabilities import AttentionCapabilities
from reformer_tf.layers.attention.cross_attention import CrossAttention
from reformer_tf.layers.attention.full import FullSelfAttention
from reformer_tf.layers.attention.full_cross import FullCrossAttention
from reformer_tf.layers.attention.local import LocalSelfAttention
from reformer_tf.layers.attention.lsh import LSHSelfAttention
from reformer_tf.layers.attention.performer import PerformerSelfAttention
from reformer_tf.layers.attention.performer_cross import PerformerCrossAttention

ATTENTION_LAYERS: dict[str, type[SelfAttention]] = {
    "full": FullSelfAttention,
    "local": LocalSelfAttention,
    "lsh": LSHSelfAttention,
    "performer": PerformerSelfAttention,
}

# Of the kinds whose capabilities say that they have cross-attention.
CROSS_ATTENTION_LAYERS: dict[str, type[CrossAttention]] = {
    "full": FullCrossAttention,
    "performer": PerformerCrossAttention,
}


def get(kind: Any) -> type[SelfAttention]:
    """Returns the class of a kind of attention.

    Raises:
        ValueError: if there is no such kind, or its class does not declare what it can do.
    """
    if kind not in ATTENTION_LAYERS:
        raise ValueError(f"attention_layers must name kinds among {sorted(ATTENTION_LAYERS)}. Received: {kind!r}")
    capabilities.declared_by(ATTENTION_LAYERS[kind])
    return ATTENTION_LAYERS[kind]


def get_cross(kind: Any) -> type[CrossAttention]:
    """Returns the class of a kind of cross-attention.

    Raises:
        ValueError: if there is no such kind.
    """
    if kind not in CROSS_ATTENTION_LAYERS:
        raise ValueError(f"cross_attention must be one of {sorted(CROSS_ATTENTION_LAYERS)}. Received: {kind!r}")
    return CROSS_ATTENTION_LAYERS[kind]


def require(kinds: Iterable[str], can: Callable[[AttentionCapabilities], Any], rule: str, received: str) -> None:
    """Refuses kinds that cannot do what a model is asked for.

    Args:
        kinds: of the layers of the model.
        can: whether a kind can, from its capabilities.
        rule: of the error, which names the kinds that can and the first that cannot.
        received: of the error, what the model was asked for.

    Raises:
        ValueError: if there is a kind that cannot.
    """
    unable = [kind for kind in kinds if not can(get(kind).capabilities)]
    if unable:
        able = sorted(kind for kind in ATTENTION_LAYERS if can(get(kind).capabilities))
        raise ValueError(f"{rule}: {able} can, {unable[0]!r} cannot. Received: {received}, attention_layers={[*kinds]}")


def require_decoding(kinds: Iterable[str]) -> None:
    """Refuses kinds with which a model cannot generate.

    Raises:
        ValueError: if there is such a kind.
    """
    rule = "To generate, all attention_layers must be kinds that can add tokens one by one, with a decoding_cache"
    require(kinds, lambda capabilities: capabilities.decoding_cache, rule, "generate")
