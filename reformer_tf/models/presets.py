"""Sizes and options of published models by name, for `from_preset` of the models; without the published weights.

The sizes are those of the configurations published with the weights (google/reformer-enwik8 and
google/reformer-crime-and-punishment). Both models have the attention of the authors' released code: windows of complete
chunks that wrap around the ends. They concatenate the two residual streams before the last normalisation.
"""

import copy
import math
from typing import Any


def _released(lsh_chunk_length: int, local_chunk_length: int, **sizes: Any) -> dict[str, Any]:
    """The arguments that all released models have in common, and `sizes`."""
    chunks = {"lsh": lsh_chunk_length, "local": local_chunk_length}
    multiple = math.lcm(*chunks.values())
    windows = {
        kind: {
            "window": "chunk",
            "wrap": True,
            "chunks_before": 1,
            "chunks_after": 0,
            "length_multiple": multiple,
            # Sequences longer than the shorter chunk are padded to the multiple. They get exact attention in the layers
            # for which the multiple is one chunk.
            "exact_length": multiple if multiple == chunk else min(chunks.values()),
        }
        for kind, chunk in chunks.items()
    }
    return {
        **sizes,
        "chunk_length": lsh_chunk_length,
        "local_chunk_length": local_chunk_length,
        "attention_options": windows,
        "activation": "relu",
        "positions": "axial",
        "combine_streams": "concatenate",
        "layer_norm_epsilon": 1e-12,
        "embedding_scale": 1.0,
    }


PRESETS: dict[str, dict[str, Any]] = {
    # Bytes of Wikipedia, for sequences of 65,536.
    "reformer-enwik8": _released(
        lsh_chunk_length=256,
        local_chunk_length=128,
        vocabulary_size=258,
        max_sequence_length=65_536,
        num_layers=12,
        hidden_dim=1024,
        num_heads=8,
        key_dim=128,
        intermediate_dim=4096,
        attention_layers=["local", "local", "lsh", "local"],
        num_hashes=4,
        num_buckets=512,
        axial_shape=[128, 512],
        axial_dims=[256, 768],
    ),
    # Subwords of one novel, for sequences of 524,288.
    "reformer-crime-and-punishment": _released(
        lsh_chunk_length=64,
        local_chunk_length=64,
        vocabulary_size=320,
        max_sequence_length=524_288,
        num_layers=6,
        hidden_dim=256,
        num_heads=2,
        key_dim=64,
        intermediate_dim=512,
        attention_layers=["local", "lsh"],
        num_hashes=1,
        num_buckets=[64, 128],
        axial_shape=[512, 1024],
        axial_dims=[64, 192],
    ),
}


def get(name: str) -> dict[str, Any]:
    """Returns the backbone's arguments of a preset, as a copy that may be changed.

    Raises:
        ValueError: if there is no such preset.
    """
    if name not in PRESETS:
        raise ValueError(f"name must be that of a preset, one of {sorted(PRESETS)}. Received: name={name!r}")
    return copy.deepcopy(PRESETS[name])
