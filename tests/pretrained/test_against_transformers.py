"""Loaded models against transformers itself: outputs, buckets and gradients for many configs.

Run where torch and transformers are installed. Rotations are those that `hash_seed` gives the original. Each original
is a new one, since it fixes the number of buckets at its first length, while ours follows each call's length.
"""

import itertools
import math

import numpy as np
import pytest
import tensorflow as tf

pytest.importorskip("torch")
pytest.importorskip("transformers")

from reformer_tf.pretrained import from_huggingface, huggingface
from reformer_tf.pretrained.rotations import assign_rotations
from tests.pretrained import comparing, originals

TOLERANCE = 2e-4
CAUSAL, MASKED = "ReformerModelWithLMHead", "ReformerForMaskedLM"
LOCAL, LSH, MIXED = ["local"] * 2, ["lsh"] * 2, ["local", "lsh", "lsh"]


def _bidirectional(**fields):
    return {"is_decoder": False, **fields}


def _windows():
    """Every pattern with every number of chunks before and after, causal where nothing comes after."""
    for (name, layers), before, after in itertools.product(
        {"local": LOCAL, "lsh": LSH, "mixed": MIXED}.items(), (0, 1, 2), (0, 1)
    ):
        fields = {"attn_layers": layers}
        for kind in ("lsh", "local"):
            fields |= {f"{kind}_num_chunks_before": before, f"{kind}_num_chunks_after": after}
        yield f"{name}-{before}-before-{after}-after-bidirectional", MASKED, _bidirectional(**fields)
        if not after:
            yield f"{name}-{before}-before-causal", CAUSAL, fields


def _hashes():
    for rounds, (name, buckets) in itertools.product(
        (1, 2, 4), {"6": 6, "2x4x2": [2, 4, 2], "list-of-8": [8], "by-length": None}.items()
    ):
        fields = {"attn_layers": LSH, "num_hashes": rounds, "num_buckets": buckets}
        yield f"{rounds}-rounds-{name}-buckets", CAUSAL, fields


def _chunks():
    for (local, lsh), rounds in itertools.product(
        [(16, 16), (64, 64), (128, 128), (16, 64), (64, 16), (24, 16), (128, 16)], (1, 4)
    ):
        fields = {
            "attn_layers": ["local", "lsh"],
            "local_attn_chunk_length": local,
            "lsh_attn_chunk_length": lsh,
            "max_position_embeddings": 512,
            "axial_pos_shape": [16, 32],
            "num_hashes": rounds,
        }
        yield f"chunks-{local}-{lsh}-{rounds}-rounds", CAUSAL, fields


CASES = [
    *_windows(),
    *_hashes(),
    *_chunks(),
    ("learned-positions", CAUSAL, {"axial_pos_embds": False}),
    ("learned-positions-bidirectional", MASKED, _bidirectional(axial_pos_embds=False, num_buckets=4)),
    ("positions-beyond-the-longest", CAUSAL, {"axial_pos_shape": [16, 32]}),
    ("longest-beyond-positions", CAUSAL, {"max_position_embeddings": 9000, "lsh_attn_chunk_length": 8}),
    ("said-to-be-tied", CAUSAL, {"tie_word_embeddings": True}),
    ("other-width-of-heads", CAUSAL, {"attention_head_size": 12, "num_attention_heads": 3}),
    ("quick-gelu", CAUSAL, {"hidden_act": "quick_gelu", "layer_norm_eps": 1e-3}),
    ("classifier", "ReformerForSequenceClassification", _bidirectional(num_labels=3)),
    ("causal-classifier", "ReformerForSequenceClassification", {"num_labels": 5, "lsh_num_chunks_after": 1}),
    ("questions", "ReformerForQuestionAnswering", _bidirectional()),
    ("without-a-head", "ReformerModel", _bidirectional()),
    ("causal-without-a-head", "ReformerModel", {}),
]


def _lengths(config):
    """The longest length, lengths that are no multiple of a chunk, and lengths up to and just above one chunk."""
    longest = config.max_position_embeddings
    if config.axial_pos_embds:
        longest = min(longest, math.prod(config.axial_pos_shape))
    chunks = [getattr(config, f"{kind}_attn_chunk_length") for kind in set(config.attn_layers)]
    # The original fails if padding to a multiple exceeds the longest length.
    longest -= longest % math.lcm(*chunks)
    return sorted({longest, longest - 3, longest // 2 + 1, min(chunks), min(chunks) + 1, 5})


def _masks(ids):
    """None, padding at the end, and masked tokens anywhere; the first token, which classifiers read, is real."""
    rows, length = ids.shape
    anywhere = np.random.default_rng(1).random([rows, length]) < 0.7
    anywhere[:, 0] = True
    return None, np.arange(length) < np.array([[length], [max(1, length * 2 // 3)]]), anywhere


def _ids(config, length, rows=2):
    return np.random.default_rng(length).integers(0, config.vocab_size, [rows, length]).astype(np.int32)


def _compare(kind, fields, lengths, ours, masked=True):
    """Compares at several lengths, with and without masks."""
    results = []
    for number, length in enumerate(sorted(lengths, reverse=True)):
        # Masks only for the two longest lengths, one of which is padded.
        for which in range(3 if masked and number < 2 else 1):
            model = originals.make(kind, **fields)
            ids = _ids(model.config, length)
            mask = _masks(ids)[which]
            original = originals.run(model, ids, mask)
            assign_rotations(ours, original.rotations)
            factors = originals.bucket_factors(model.config.num_buckets) if original.rotations else None
            results.append(
                comparing.assert_same_outputs(ours, ids, mask, original.logits, original.buckets, TOLERANCE, factors)
            )
    return results


def _report(name, results):
    print(
        f"{name}: {len(results)} runs, largest difference {max(r['difference'] for r in results):.1e} at a scale of"
        f" {min(r['scale'] for r in results):.2f} or more, {sum(r['flips'] for r in results)} near-ties"
    )


@pytest.mark.parametrize(("kind", "fields"), [pytest.param(*case[1:], id=case[0]) for case in CASES])
def test_outputs(kind, fields, tmp_path, request):
    model = originals.make(kind, **fields)
    ours = from_huggingface(originals.save(model, tmp_path), head_bias=False)
    results = _compare(kind, fields, _lengths(model.config), ours)
    assert min(result["scale"] for result in results) > 0.2
    _report(request.node.callspec.id, results)


PUBLISHED = {
    "crime-and-punishment": {
        "attention_head_size": 64,
        "attn_layers": ["local", "lsh"] * 3,
        "axial_pos_embds_dim": [64, 192],
        "axial_pos_shape": [512, 1024],
        "feed_forward_size": 512,
        "hidden_size": 256,
        "local_attn_chunk_length": 64,
        "lsh_attn_chunk_length": 64,
        "max_position_embeddings": 524_288,
        "num_attention_heads": 2,
        "num_buckets": [64, 128],
        "num_hashes": 1,
        "vocab_size": 320,
    },
    "enwik8": {
        "attention_head_size": 128,
        "attn_layers": ["local", "local", "lsh", "local"] * 3,
        "axial_pos_embds_dim": [256, 768],
        "axial_pos_shape": [128, 512],
        "feed_forward_size": 4096,
        "hidden_size": 1024,
        "local_attn_chunk_length": 128,
        "lsh_attn_chunk_length": 256,
        "max_position_embeddings": 65_536,
        "num_attention_heads": 8,
        "num_buckets": 512,
        "num_hashes": 4,
        "vocab_size": 258,
    },
}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "lengths"), [("crime-and-punishment", [1024, 999]), ("enwik8", [1024, 700])])
def test_published_configurations_at_full_width(name, lengths, tmp_path):
    fields = PUBLISHED[name]
    ours = from_huggingface(originals.save(originals.make(CAUSAL, **fields), tmp_path), head_bias=False)
    _report(name, _compare(CAUSAL, fields, lengths, ours, masked=False))


GRADIENT_CASES = {
    "local": (CAUSAL, {"attn_layers": LOCAL}),
    "lsh": (CAUSAL, {"attn_layers": LSH, "num_hashes": 4, "num_buckets": [2, 4]}),
    "mixed": (CAUSAL, {"attn_layers": MIXED, "lsh_num_chunks_before": 2}),
    "one-round": (CAUSAL, {"attn_layers": MIXED, "num_hashes": 1}),
    "bidirectional": (MASKED, _bidirectional(attn_layers=MIXED, lsh_num_chunks_after=1, local_num_chunks_after=1)),
    "learned-positions": (CAUSAL, {"axial_pos_embds": False}),
    "classifier": ("ReformerForSequenceClassification", _bidirectional(num_labels=3)),
    "questions": ("ReformerForQuestionAnswering", _bidirectional()),
}


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("kind", "fields"), GRADIENT_CASES.values(), ids=GRADIENT_CASES)
def test_gradients(kind, fields, masked, tmp_path, request):
    model = originals.make(kind, **fields, **originals.NO_DROPOUT)
    ids = _ids(model.config, 128)
    mask = _masks(ids)[2] if masked else None
    original = originals.run(model, ids, mask)
    ours = from_huggingface(originals.save(model, tmp_path), original.rotations, head_bias=False)
    comparing.assert_same_outputs(ours, ids, mask, original.logits, original.buckets, TOLERANCE, [2])
    weights = {name: _cotangent(value, mask) for name, value in original.logits.items()}
    expected = originals.gradients(model, ids, mask, weights)
    found = comparing.gradients(ours, ids, mask, weights)
    largest = comparing.assert_same_gradients(found, expected, huggingface.weight_targets(ours, expected))
    print(f"{request.node.callspec.id}: largest relative difference of {len(expected)} gradients {largest:.1e}")


def _cotangent(value, mask):
    """Random numbers of the shape of an output, zero at masked tokens."""
    cotangent = np.random.default_rng(0).normal(size=value.shape).astype(np.float32)
    if mask is not None and value.shape[:2] == mask.shape:
        cotangent[~mask] = 0.0
    return cotangent


def test_the_bias_of_the_head(tmp_path):
    """This release of transformers ignores it; those before version 5 added it."""
    model = originals.make(CAUSAL)
    directory, ids = originals.save(model, tmp_path), _ids(model.config, 100)
    original = originals.run(model, ids)
    with_bias = from_huggingface(directory, original.rotations)(ids)
    bias = model.lm_head.bias.detach().numpy()
    assert np.abs(bias).max() > 0.1
    np.testing.assert_allclose(with_bias, original.logits["logits"] + bias, atol=TOLERANCE)
    without = from_huggingface(directory, original.rotations, head_bias=False)(ids)
    np.testing.assert_allclose(without, original.logits["logits"], atol=TOLERANCE)


def test_one_model_follows_the_length_where_the_original_keeps_its_first_number_of_buckets(tmp_path):
    fields = {"attn_layers": LSH, "lsh_attn_chunk_length": 8}
    original = originals.make(CAUSAL, **fields)
    ours = from_huggingface(originals.save(original, tmp_path), head_bias=False)
    _compare(CAUSAL, fields, (8 * 2, 40, 128), ours)
    originals.run(original, _ids(original.config, 16))
    assert original.reformer.encoder.layers[0].attention.self_attention.num_buckets == 4
    frozen = originals.run(original, _ids(original.config, 128))
    assert np.abs(ours(_ids(original.config, 128)) - frozen.logits["logits"]).max() > 1e-2


@pytest.mark.parametrize("name", sorted(huggingface.huggingface_config.ACTIVATIONS))
def test_activations(name):
    import torch
    from transformers.activations import ACT2FN

    from reformer_tf.layers import activations

    x = np.linspace(-12, 12, 997).astype(np.float32)
    ours = activations.get(huggingface.huggingface_config.ACTIVATIONS[name])(tf.constant(x))
    np.testing.assert_allclose(ours, ACT2FN[name](torch.tensor(x)), atol=2e-6, rtol=2e-6)


def test_every_activation_of_transformers_is_known():
    from transformers.activations import ACT2FN

    known = {*huggingface.huggingface_config.ACTIVATIONS, *huggingface.huggingface_config.WITH_WEIGHTS}
    assert set(ACT2FN) <= known


@pytest.mark.parametrize("written", ["shards", "pickle", "half", "bfloat16"])
def test_files_of_other_kinds(written, tmp_path):
    import torch

    model = originals.make(CAUSAL)
    if written == "pickle":
        originals.save(model, tmp_path)
        (tmp_path / "model.safetensors").unlink()
        torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    elif written == "shards":
        model.save_pretrained(tmp_path, max_shard_size="5KB")
        assert len(list(tmp_path.glob("*.safetensors"))) > 2
    else:
        model = model.to(torch.float16 if written == "half" else torch.bfloat16)
        originals.save(model, tmp_path)
        model = model.float()
    ids = _ids(model.config, 64)
    original = originals.run(model, ids)
    ours = from_huggingface(tmp_path, original.rotations, head_bias=False)
    assert {v.dtype for v in ours.trainable_variables} == {"float32"}
    comparing.assert_same_outputs(ours, ids, None, original.logits, original.buckets, TOLERANCE, [2])
