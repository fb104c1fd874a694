"""A plain Transformer decoder of equal sizes, with the fused exact attention of PyTorch."""

import torch
from torch.nn import functional

from benchmarks.measuring.sizes import VOCABULARY, Sizes


class ExactTransformer(torch.nn.Module):
    """Ids `[B, L]` to logits `[B, L, V]`, every token seeing all tokens before it.

    Args:
        sizes: of the model.
    """

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.embedding = torch.nn.Embedding(VOCABULARY, sizes.width)
        self.axes = torch.nn.ParameterList(
            torch.randn(length, width) for length, width in zip(sizes.axial_shape, sizes.axial_dims, strict=True)
        )
        self.blocks = torch.nn.ModuleList(_Block(sizes) for _ in range(sizes.layers))
        self.norm = torch.nn.LayerNorm(sizes.width)
        self.head = torch.nn.Linear(sizes.width, VOCABULARY)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Computes logits."""
        first, second = self.axes
        rows, columns = len(first), len(second)
        positions = torch.cat(
            [first[:, None].expand(-1, columns, -1), second[None].expand(rows, -1, -1)], dim=-1
        ).flatten(0, 1)
        x = self.embedding(ids) + positions[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class _Block(torch.nn.Module):
    """Attention and feed-forward, each after a normalisation."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        width = sizes.width
        self.heads = sizes.heads
        self.attention_norm = torch.nn.LayerNorm(width)
        self.query_key_value = torch.nn.Linear(width, 3 * width, bias=False)
        self.output = torch.nn.Linear(width, width, bias=False)
        self.feed_forward = torch.nn.Sequential(
            torch.nn.LayerNorm(width),
            torch.nn.Linear(width, 4 * width),
            torch.nn.GELU(),
            torch.nn.Linear(4 * width, width),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        projected = self.query_key_value(self.attention_norm(x)).unflatten(-1, (3, self.heads, -1))  # [B, L, 3, H, D]
        query, key, value = projected.permute(2, 0, 3, 1, 4)  # [B, H, L, D] each
        attended = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.output(attended.transpose(1, 2).flatten(2))
        return x + self.feed_forward(x)
