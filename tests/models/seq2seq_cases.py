"""A small encoder-decoder for tests, and pairs of ids for it."""

from typing import Any

import numpy as np

from reformer_tf.models import ReformerSeq2Seq
from tests.models import cases

SOURCES, TARGETS = 11, 5
SIZES = {
    "source_vocabulary_size": SOURCES,
    "target_vocabulary_size": TARGETS,
    "max_source_length": 40,
    "max_target_length": 24,
    "num_encoder_layers": 2,
    "num_decoder_layers": 2,
    "hidden_dim": 16,
    "num_heads": 2,
    "key_dim": 4,
    "intermediate_dim": 24,
    "encoder_attention_layers": ["full"],
    "decoder_attention_layers": ["full"],
    "chunk_length": 4,
}
HASHED = {"encoder_attention_layers": ["local", "lsh"], "decoder_attention_layers": ["lsh", "performer"]}


def make(**changes: Any) -> ReformerSeq2Seq:
    """A small model with weights that are not tiny."""
    return cases.perturb(ReformerSeq2Seq(**{**SIZES, **changes}))


def data(length: int = 9, source_length: int = 13, masks: bool = True) -> dict[str, np.ndarray]:
    """Three pairs; with masks, which have holes, the first two begin with real tokens and the last has a single one."""
    rng = np.random.default_rng(2)
    source, target = rng.integers(0, SOURCES, [3, source_length]), rng.integers(0, TARGETS, [3, length])
    pairs = {"source": source.astype("int32"), "target": target.astype("int32")}
    if masks:
        for name, size in (("source", source_length), ("target", length)):
            mask = rng.random((3, size)) < 0.8
            mask[:2, 0], mask[2] = True, np.arange(size) == 3
            pairs[f"{name}_mask"] = mask
    return pairs
