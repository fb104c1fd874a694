"""The unchanged Reformer of Hugging Face's transformers, without local layers."""

import torch
import transformers

from benchmarks.measuring.sizes import VOCABULARY, Sizes


class HuggingFaceReformer(torch.nn.Module):
    """`ReformerModelWithLMHead`: ids `[B, L]` to logits `[B, L, V]`.

    Args:
        sizes: of the model.
    """

    def __init__(self, sizes: Sizes):
        super().__init__()
        config = transformers.ReformerConfig(
            vocab_size=VOCABULARY,
            attn_layers=["lsh"] * sizes.layers,
            hidden_size=sizes.width,
            num_attention_heads=sizes.heads,
            attention_head_size=sizes.key_dim,
            feed_forward_size=4 * sizes.width,
            hidden_act="gelu",
            lsh_attn_chunk_length=sizes.chunk_length,
            num_hashes=sizes.num_hashes,
            num_buckets=num_buckets(sizes.length, sizes.chunk_length),
            axial_pos_embds=True,
            axial_pos_shape=sizes.axial_shape,
            axial_pos_embds_dim=sizes.axial_dims,
            max_position_embeddings=sizes.length,
            hidden_dropout_prob=0.0,
            lsh_attention_probs_dropout_prob=0.0,
            is_decoder=True,
            use_cache=False,
        )
        self.model = transformers.ReformerModelWithLMHead(config)
        self._length = sizes.length

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Computes logits."""
        # In training mode its axial positions only take sequences of their full length. Without dropout they compute
        # the same in evaluation mode.
        self.model.reformer.embeddings.position_embeddings.train(ids.shape[1] == self._length)
        return self.model(ids).logits


def num_buckets(length: int, chunk_length: int) -> int | list[int]:
    """The number of buckets that transformers chooses by default.

    It is set here because transformers would derive it from its first sequence, which is a short one, and then not
    change it.

    Example:
        >>> num_buckets(65536, 64)
        [32, 64]
    """
    power = max((2 * (length // chunk_length)).bit_length() - 1, 1)
    if 2**power <= 2 * max(int((length // chunk_length) ** 0.5), chunk_length):
        return 2**power
    return [2 ** (power // 2), 2 ** (power - power // 2)]
