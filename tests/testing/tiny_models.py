"""Small models for tests of whole training steps."""

from collections.abc import Sequence
from typing import Any

from reformer_tf.models import ReformerCausalLM


def every_kind(
    dtype: str = "float32", kinds: Sequence[str] = ("lsh", "local", "full"), **options: Any
) -> ReformerCausalLM:
    """Every kind of layer, feed-forward layers in chunks, axial positions for 64 tokens, dropout on."""
    return ReformerCausalLM(
        vocabulary_size=257,
        max_sequence_length=64,
        num_layers=len(kinds),
        hidden_dim=16,
        num_heads=2,
        key_dim=8,
        intermediate_dim=32,
        attention_layers=list(kinds),
        chunk_length=8,
        num_hashes=2,
        dropout=0.1,
        attention_dropout=0.1,
        feed_forward_chunk_length=16,
        dtype=dtype,
        **options,
    )
