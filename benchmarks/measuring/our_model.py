"""The model of this package that benchmarks measure and train."""

from typing import Any

from benchmarks.measuring.sizes import VOCABULARY, Sizes
from reformer_tf.models import ReformerCausalLM


def build(sizes: Sizes, **options: Any) -> ReformerCausalLM:
    """Builds the model.

    Args:
        sizes: of the model.
        **options: other arguments of `ReformerCausalLM`.
    """
    return ReformerCausalLM(
        vocabulary_size=VOCABULARY,
        max_sequence_length=sizes.length,
        num_layers=sizes.layers,
        hidden_dim=sizes.width,
        num_heads=sizes.heads,
        key_dim=sizes.key_dim,
        intermediate_dim=4 * sizes.width,
        chunk_length=sizes.chunk_length,
        num_hashes=sizes.num_hashes,
        **options,
    )
