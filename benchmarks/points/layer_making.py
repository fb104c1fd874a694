"""Makes the attention layers that points measure: a layer of this package as a model would make it."""

from typing import Any

import numpy as np

from benchmarks.measuring import layer_flags
from benchmarks.measuring.layer_subjects import KERAS
from benchmarks.measuring.sizes import VOCABULARY
from benchmarks.peers.keras_attention import KIND, KerasSelfAttention
from reformer_tf.layers.attention import registry
from reformer_tf.models import ReformerBackbone


def make(subject: str, length: int) -> Any:
    """Makes the attention layer of a model with one layer, so that it has the arguments that it gets in models.

    Args:
        subject: a registered kind, or `"keras"` for `keras.layers.MultiHeadAttention`.
        length: the longest sequence.

    Returns:
        A built layer, causal if the kind can be.

    Raises:
        ValueError: for a kind that is not registered.
    """
    if subject == KERAS:
        registry.ATTENTION_LAYERS[KIND] = KerasSelfAttention  # In this process, which measures nothing else.
        subject = KIND
    model = ReformerBackbone(
        vocabulary_size=VOCABULARY,
        max_sequence_length=length,
        num_layers=1,
        hidden_dim=width(),
        num_heads=layer_flags.HEADS.value,
        key_dim=layer_flags.KEY_DIM.value,
        intermediate_dim=width(),
        attention_layers=[subject],
        chunk_length=layer_flags.CHUNK_LENGTH.value,
        num_hashes=layer_flags.NUM_HASHES.value,
        causal=registry.get(subject).capabilities.causal,
    )
    return model.get_layer("stack").branches[0].layer


def width() -> int:
    """M, the width of the vectors."""
    return int(layer_flags.HEADS.value * layer_flags.KEY_DIM.value)


def random_vectors(rows: int) -> np.ndarray:
    """Normal vectors, float32 `[rows, M]`."""
    return np.random.default_rng(0).standard_normal((rows, width()), dtype=np.float32)
