"""Writes the files that `golden_files` reads: small models of transformers with inputs, outputs and gradients.

    python -m tests.pretrained.make_golden

Needs torch and transformers (made with torch 2.13.0 and transformers 5.23.0). Each file holds the config, the weights
as `save_pretrained` names them, rotations, ids, mask, outputs, buckets, and the gradients of a weighted sum of the
outputs.
"""

import json
import pathlib
import tempfile

import numpy as np
from safetensors import numpy as safetensors_numpy

from tests.pretrained import originals
from tests.pretrained.golden_files import FOLDER

LENGTH = 64

_SIZES = {
    **originals.NO_DROPOUT,
    "attention_head_size": 4,
    "axial_pos_embds_dim": [2, 6],
    "axial_pos_shape": [4, 16],
    "feed_forward_size": 12,
    "hidden_size": 8,
    "local_attn_chunk_length": 8,
    "lsh_attn_chunk_length": 16,
    "max_position_embeddings": LENGTH,
    "vocab_size": 12,
}
CASES = {
    "causal": ("ReformerModelWithLMHead", {"attn_layers": ["local", "lsh", "lsh"], "num_buckets": [2, 4]}),
    "by_length": ("ReformerModelWithLMHead", {"attn_layers": ["lsh", "lsh"], "num_hashes": 4, "num_buckets": None}),
    "masked_lm": (
        "ReformerForMaskedLM",
        {
            "is_decoder": False,
            "axial_pos_embds": False,
            "num_hashes": 1,
            "num_buckets": 6,
            "lsh_num_chunks_after": 1,
            "local_num_chunks_before": 2,
            "hidden_act": "gelu",
        },
    ),
    "classifier": ("ReformerForSequenceClassification", {"is_decoder": False, "num_labels": 3}),
    "questions": ("ReformerForQuestionAnswering", {"is_decoder": False, "attn_layers": ["local", "local"]}),
    "base": ("ReformerModel", {"attn_layers": ["lsh", "local"]}),
}


def make(name: str, folder: pathlib.Path) -> None:
    """Writes the golden file of a case."""
    kind, fields = CASES[name]
    fields = {**_SIZES, **fields}
    rng = np.random.default_rng(0)
    content = {}
    for length, masked in ((LENGTH, False), (LENGTH, True), (LENGTH - 11, False)):
        model = originals.make(kind, **fields)
        ids = rng.integers(0, model.config.vocab_size, [2, length]).astype(np.int32)
        mask = np.ones(ids.shape, bool)
        if masked:
            mask = rng.random(ids.shape) < 0.7
            mask[:, 0] = True
        original = originals.run(model, ids, mask if masked else None)
        run = f"{length}{'_masked' if masked else ''}"
        content |= {f"{run}/ids": ids, f"{run}/mask": mask}
        content |= {f"{run}/outputs/{key}": value for key, value in original.logits.items()}
        content |= {f"{run}/buckets/{i}": b.astype(np.uint8) for i, b in enumerate(original.buckets)}
        content |= {f"{run}/rotations/{i}": value for i, value in original.rotations.items()}
        if masked:
            weights = {key: rng.normal(size=value.shape).astype(np.float32) for key, value in original.logits.items()}
            for value in weights.values():
                if value.shape[:2] == mask.shape:
                    value[~mask] = 0.0
            content |= {f"{run}/weights/{key}": value for key, value in weights.items()}
            found = originals.gradients(model, ids, mask, weights)
            content |= {f"{run}/gradients/{key}": value for key, value in found.items()}
    with tempfile.TemporaryDirectory() as directory:
        originals.save(originals.make(kind, **fields), pathlib.Path(directory))
        config = json.loads((pathlib.Path(directory) / "config.json").read_text())
        tensors = safetensors_numpy.load_file(pathlib.Path(directory) / "model.safetensors")
    content |= {f"tensors/{key}": value for key, value in tensors.items()}
    content["config"] = np.frombuffer(json.dumps(config, sort_keys=True).encode(), np.uint8)
    np.savez_compressed(folder / f"{name}.npz", **content)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for case in CASES:
        make(case, FOLDER)
