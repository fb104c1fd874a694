"""Operations that a training step needs, whatever a program computes besides or again.

Their share of what a device can do in the time of the step is known as model FLOPs utilization (Chowdhery et al., 2022,
"PaLM", appendix B).
"""

from collections.abc import Sequence

from benchmarks.measuring.sizes import VOCABULARY, Sizes

# Projections of a token: query, key, value and output; with shared queries and keys one less.
_PROJECTIONS = {"lsh": 3, "local": 4, "full": 4}
KINDS = tuple(_PROJECTIONS)
"""The kinds of attention whose operations are known here."""


def training_step(sizes: Sizes, kinds: Sequence[str]) -> int:
    """Counts the operations of products with weights and of visible pairs, forward and backward, in one sequence.

    A backward pass needs twice the operations of a forward pass. Hashing, which has no gradient, is not counted, and
    in an LSH layer each round has as many visible pairs as fit its windows, though some meet in several rounds.

        >>> from benchmarks.measuring import needed_operations
        >>> from benchmarks.measuring.sizes import Sizes
        >>> sizes = Sizes(length=1, layers=0, width=2, heads=1, num_hashes=1, chunk_length=1)
        >>> needed_operations.training_step(sizes, [])  # The head: 2 * 256 weights.
        3072

    Args:
        sizes: of the model; those of `benchmarks.measuring.our_model`.
        kinds: of the attention of each layer, among `KINDS`.

    Returns:
        Multiplications and additions.
    """
    width, heads = sizes.width, sizes.heads * sizes.key_dim
    multiplied = width * VOCABULARY
    for kind in kinds:
        multiplied += _PROJECTIONS[kind] * width * heads + 2 * width * 4 * width
        multiplied += 2 * heads * _visible(kind, sizes)
    return 3 * 2 * sizes.length * multiplied


def causal_attention(sizes: Sizes) -> int:
    """Counts the same of exact causal attention alone, as of its products in one layer of kind `"full"`."""
    return 3 * 2 * sizes.length * 2 * sizes.heads * sizes.key_dim * _visible("full", sizes)


def _visible(kind: str, sizes: Sizes) -> int:
    """The keys that a query sees, at most."""
    window = min(sizes.chunk_length, sizes.length)
    return {"lsh": sizes.num_hashes * window, "local": window, "full": (sizes.length + 1) // 2}[kind]
