"""The PyTorch models do the same work as ours: equal sizes, a loss that begins at chance, gradients for all weights."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from benchmarks.measuring.sizes import VOCABULARY, Sizes  # noqa: E402
from benchmarks.measuring.subjects import PEERS  # noqa: E402
from benchmarks.peers import torch_step  # noqa: E402
from reformer_tf.models import ReformerCausalLM  # noqa: E402

SIZES = Sizes(length=512, layers=2, width=64, heads=2, num_hashes=2, chunk_length=64)
# Known defect: transformers never adds this bias.
WITHOUT_GRADIENT = {"huggingface": {"model.lm_head.bias"}}
TABLES = ("embedding", "embeddings", "token_emb", "pos_emb", "axes", "lm_head", "head", "out", "to_out")


@pytest.fixture(params=sorted(PEERS))
def peer(request):
    for package in PEERS[request.param]:
        pytest.importorskip(package)
    return request.param, torch_step.new_model(request.param, SIZES, seed=0)


def _ids(length=SIZES.length):
    return torch.from_numpy(np.random.default_rng(0).integers(0, VOCABULARY, (1, length + 1)))


def _inside(name):
    """Whether a weight belongs to a layer, and not to an embedding, a position table or the head."""
    parts = [part for part in name.split(".") if part != "model"]
    return not set(parts[:2]) & set(TABLES) or "layers" in parts or "blocks" in parts


def test_layers_have_as_many_weights_as_ours(peer):
    name, model = peer
    ours = ReformerCausalLM(VOCABULARY, SIZES.length, 2, 64, 2, 32, 256, ["lsh"])
    stack = sum(int(np.prod(v.shape)) for v in ours.backbone.get_layer("stack").trainable_variables)
    theirs = sum(p.numel() for key, p in model.named_parameters() if _inside(key))
    if name in ("performer_pytorch", "torch_exact"):
        theirs -= SIZES.layers * SIZES.width**2  # These peers have a kernel for keys.
    assert theirs == pytest.approx(stack, rel=0.02)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_training_steps(peer, precision):
    name, model = peer
    assert torch_step.training_step(model, _ids(256), precision) == pytest.approx(math.log(VOCABULARY), abs=0.4)
    assert torch_step.training_step(model, _ids(), precision) == pytest.approx(math.log(VOCABULARY), abs=0.4)
    bad = {k for k, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all() or not p.grad.any()}
    assert bad == WITHOUT_GRADIENT.get(name, set())


def test_sizes_are_used(peer):
    name, model = peer
    if name == "huggingface":
        layer = model.model.reformer.encoder.layers[0].attention.self_attention
        assert (layer.num_hashes, layer.chunk_length, layer.num_buckets) == (2, 64, 16)
    elif name == "lucidrains":
        layer = model.model.reformer.layers.blocks[0].f.net.fn
        assert (layer.lsh_attn.n_hashes, layer.lsh_attn.bucket_size, layer.full_attn_thres) == (2, 64, 0)
        assert layer.lsh_attn.causal and not layer.use_full_attn


def test_bucket_counts_follow_the_rule_of_transformers():
    pytest.importorskip("transformers")
    from transformers.models.reformer.modeling_reformer import LSHSelfAttention, ReformerConfig

    from benchmarks.peers.huggingface import num_buckets

    for length in (128, 1024, 3072, 16384, 65536, 2**20):
        layer = LSHSelfAttention(ReformerConfig(max_position_embeddings=length, lsh_attn_chunk_length=64))
        layer._set_num_buckets(length)
        assert num_buckets(length, 64) == layer.num_buckets


def test_exact_attention_is_causal():
    model = torch_step.new_model("torch_exact", SIZES, seed=0)
    ids = _ids()[:, :-1]
    changed = ids.clone()
    changed[:, 300:] = 0
    with torch.no_grad():
        difference = (model(ids) - model(changed)).abs().amax(dim=(0, 2))
    assert difference[:300].max() < 1e-5 < difference[300]


def test_what_is_measured():
    measured = torch_step.measure("torch_exact", SIZES, 1, "float32", 1)
    assert measured["tokens_per_s"] == pytest.approx(SIZES.length / measured["step_s"])
    # The operating system has separate counters for the two, which differ a little.
    assert measured["peak_mib"] >= 0.98 * measured["base_mib"] > 0
