"""The causal self-attention of performer-pytorch, which without its CUDA kernel sums in PyTorch's own operations."""

import os

import numpy as np
import performer_pytorch
import torch

from benchmarks.measuring.sizes import VOCABULARY
from benchmarks.measuring.steps import Step
from benchmarks.peers.performer_lm import FEATURES


def steps_of_a_layer(heads: int, key_dim: int) -> tuple[Step, Step, int]:
    """Makes a layer, and the steps that `benchmarks.points.attention_layer` measures.

    Args:
        heads: H.
        key_dim: D.

    Returns:
        Forward and backward, and the forward pass in inference, each as a function of ids `[1, L + 1]` and an index,
        and the number of trainable weights.
    """
    torch.manual_seed(0)
    torch.set_num_threads(len(os.sched_getaffinity(0)))  # PyTorch's default is one thread for each physical core.
    width = heads * key_dim
    layer = performer_pytorch.SelfAttention(
        width, causal=True, heads=heads, dim_head=key_dim, nb_features=FEATURES, dropout=0.0
    )
    table = torch.randn(2 * VOCABULARY, width)

    def gradients(ids: np.ndarray, _: int) -> float:
        indices = torch.from_numpy(ids).long()
        x = table[indices[:, :-1]].requires_grad_()
        loss = (layer(x) * table[VOCABULARY + indices[:, 1:]]).mean()
        torch.autograd.grad(loss, [x, *layer.parameters()])
        return loss.item()

    @torch.no_grad()
    def forward(ids: np.ndarray, _: int) -> float:
        return layer(table[torch.from_numpy(ids[:, :-1]).long()]).mean().item()

    return gradients, forward, sum(p.numel() for p in layer.parameters())
