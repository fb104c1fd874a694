"""Runs Reformers of Hugging Face transformers with known weights, rotations and buckets.

Needs torch and transformers: import it after `pytest.importorskip`.
"""

import dataclasses
import math
import pathlib
from typing import Any

import numpy as np
import torch
import transformers

HASH_SEED = 7

SMALL: dict[str, Any] = {
    "attention_head_size": 8,
    "attn_layers": ["local", "lsh"],
    "axial_pos_embds_dim": [6, 10],
    "axial_pos_shape": [8, 16],
    "feed_forward_size": 24,
    "hash_seed": HASH_SEED,
    "hidden_size": 16,
    "is_decoder": True,
    "local_attn_chunk_length": 16,
    "lsh_attn_chunk_length": 16,
    "max_position_embeddings": 128,
    "num_attention_heads": 2,
    "num_hashes": 2,
    "vocab_size": 20,
}
"""Fields of a config that is quick to run; all others have their defaults."""


@dataclasses.dataclass(frozen=True)
class Outputs:
    """The results of a model.

    Attributes:
        logits: by name of the output.
        buckets: for each LSH layer `[B, H, R, L]`, or None where it did not hash.
        rotations: by index of the layer, `[H, D, R, columns]`; none where it did not hash.
    """

    logits: dict[str, np.ndarray]
    buckets: list[np.ndarray | None]
    rotations: dict[int, np.ndarray]


def make(kind: str, seed: int = 0, **fields: Any) -> Any:
    """A model in evaluation mode with random weights such that its logits have a size of about 1.

    Args:
        kind: name of the class in transformers.
        seed: of the weights.
        **fields: of the config, over those of `SMALL`.
    """
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    model = getattr(transformers, kind)(transformers.ReformerConfig(**{**SMALL, **fields}))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if "embeddings" in name:
                weight.copy_(noise)
            elif weight.ndim == 2:
                weight.copy_(noise / weight.shape[1] ** 0.5)
            else:
                weight.copy_(0.2 * noise + (1.0 if name.endswith("layer_norm.weight") else 0.0))
    return model.eval()


def save(model: Any, directory: pathlib.Path) -> pathlib.Path:
    """Saves a model with its own `save_pretrained`, and returns the folder."""
    model.save_pretrained(directory)
    return directory


def run(model: Any, ids: np.ndarray, mask: np.ndarray | None = None) -> Outputs:
    """Runs a model in evaluation mode. It must be a new one if `num_buckets` is not set."""
    # Models without causal attention return no cache.
    base, config = getattr(model, "reformer", model), model.config
    arguments = {
        "input_ids": torch.tensor(ids, dtype=torch.long),
        "attention_mask": None if mask is None else torch.tensor(mask, dtype=torch.long),
    }
    with torch.no_grad():
        outputs = model(**arguments)
        cache = base(**arguments, use_cache=True).past_buckets_states
    logits = {
        name: outputs[name].numpy()
        for name in ("logits", "start_logits", "end_logits", "last_hidden_state")
        if name in outputs
    }
    buckets, rotations = [], {}
    for index, kind in enumerate(config.attn_layers):
        if kind != "lsh":
            continue
        found = cache.buckets_cache[index]
        layer = base.encoder.layers[index].attention.self_attention
        if found is None or not found.numel():
            buckets.append(None)
            continue
        factors = bucket_factors(layer.num_buckets)
        masked = _has_masked(config, ids.shape[1], mask)
        buckets.append(_without_offsets(found.numpy(), int(np.prod(factors)), masked))
        rotations[index] = stored_rotations(config, sum(factors) // 2)
    return Outputs(logits, buckets, rotations)


def bucket_factors(num_buckets: Any) -> list[int]:
    """The factors of a number of buckets."""
    return list(num_buckets) if isinstance(num_buckets, list | tuple) else [num_buckets]


def stored_rotations(config: Any, columns: int) -> np.ndarray:
    """The rotations that every call of an LSH layer draws when `hash_seed` is set."""
    torch.manual_seed(config.hash_seed)
    shape = (config.num_attention_heads, config.attention_head_size, config.num_hashes, columns)
    return torch.randn(shape).numpy()


def gradients(model: Any, ids: np.ndarray, mask: np.ndarray | None, weights: dict[str, np.ndarray]) -> dict:
    """The gradients of the sum of outputs times `weights`, by name of the parameter.

    The reversible backward pass only exists in training mode, so all rates of dropout must be 0.
    """
    model.train()
    model.zero_grad()
    outputs = model(
        input_ids=torch.tensor(ids, dtype=torch.long),
        attention_mask=None if mask is None else torch.tensor(mask, dtype=torch.long),
    )
    sum((outputs[name] * torch.tensor(weight)).sum() for name, weight in weights.items()).backward()
    model.eval()
    return {name: p.grad.numpy().copy() for name, p in model.named_parameters() if p.grad is not None}


NO_DROPOUT = {
    "hidden_dropout_prob": 0.0,
    "local_attention_probs_dropout_prob": 0.0,
    "lsh_attention_probs_dropout_prob": 0.0,
}


def _has_masked(config: Any, length: int, mask: np.ndarray | None) -> bool:
    """Whether there are masked tokens, including padding that a model adds itself."""
    lengths = [getattr(config, f"{kind}_attn_chunk_length") for kind in set(config.attn_layers)]
    padded = length > min(lengths) and length % math.lcm(*lengths) != 0
    return padded or (mask is not None and not np.all(mask))


def _without_offsets(buckets: np.ndarray, count: int, masked: bool) -> np.ndarray:
    """Buckets in [0, count) in each round; masked tokens, which have a bucket of their own there, get any."""
    rounds = np.arange(buckets.shape[2])[:, None]
    return np.minimum(buckets - rounds * (count + masked), count - 1)
