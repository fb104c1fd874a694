"""The Reformer of reformer-pytorch (lucidrains), reversible and hashed at every length."""

import reformer_pytorch
import torch

from benchmarks.measuring.sizes import VOCABULARY, Sizes

_FEED_FORWARD_TOKENS = 1024


class LucidrainsReformer(torch.nn.Module):
    """`ReformerLM`: ids `[B, L]` to logits `[B, L, V]`; L must be a multiple of two chunks.

    Args:
        sizes: of the model.
    """

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.model = reformer_pytorch.ReformerLM(
            num_tokens=VOCABULARY,
            dim=sizes.width,
            depth=sizes.layers,
            max_seq_len=sizes.length,
            heads=sizes.heads,
            dim_head=sizes.key_dim,
            bucket_size=sizes.chunk_length,
            n_hashes=sizes.num_hashes,
            causal=True,
            full_attn_thres=0,
            # Its default of 100 chunks is slower at short lengths; chunks of this size were as fast as none.
            ff_chunks=max(1, sizes.length // _FEED_FORWARD_TOKENS),
            axial_position_emb=True,
            axial_position_shape=sizes.axial_shape,
        )

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Computes logits."""
        return self.model(ids)
