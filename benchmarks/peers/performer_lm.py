"""The language model of performer-pytorch (lucidrains)."""

import performer_pytorch
import torch

from benchmarks.measuring.sizes import VOCABULARY, Sizes

FEATURES = 256
"""Random features of a head, as many as `PerformerSelfAttention` and the paper have; the package's default is 266."""


class PerformerPytorchLM(torch.nn.Module):
    """`PerformerLM`, causal: ids `[B, L]` to logits `[B, L, V]`.

    Args:
        sizes: of the model.
    """

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.model = performer_pytorch.PerformerLM(
            num_tokens=VOCABULARY,
            max_seq_len=sizes.length,
            dim=sizes.width,
            depth=sizes.layers,
            heads=sizes.heads,
            dim_head=sizes.key_dim,
            nb_features=FEATURES,
            causal=True,
        )

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Computes logits."""
        return self.model(ids)
