"""Finds the model class of a peer by its name."""

from collections.abc import Callable
from typing import Any

from benchmarks.measuring.sizes import Sizes


def builder(peer: str) -> Callable[[Sizes], Any]:
    """The class of a peer's model; only its own packages are imported."""
    if peer == "huggingface":
        from benchmarks.peers.huggingface import HuggingFaceReformer

        return HuggingFaceReformer
    if peer == "lucidrains":
        from benchmarks.peers.lucidrains import LucidrainsReformer

        return LucidrainsReformer
    from benchmarks.peers.torch_exact import ExactTransformer

    return ExactTransformer
