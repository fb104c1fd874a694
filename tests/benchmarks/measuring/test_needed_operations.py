"""The operations that a training step needs, beside those of TensorFlow's program of a plain model."""

import tensorflow as tf

from benchmarks.measuring import needed_operations, our_model
from benchmarks.measuring.sizes import Sizes
from compilers.steps import compiled_program

SIZES = Sizes(length=64, layers=2, width=32, heads=2, num_hashes=3, chunk_length=8)


def test_windows_bound_the_pairs():
    weights = 32 * 256
    local, lsh = (projections * 32 * 32 + 8 * 32 * 32 for projections in (4, 3))
    pairs = {"local": 8, "lsh": 3 * 8, "full": 32}
    assert needed_operations.training_step(SIZES, ["local", "lsh"]) == 6 * 64 * (
        weights + local + lsh + 2 * 32 * (pairs["local"] + pairs["lsh"])
    )
    exact, windows = (needed_operations.training_step(SIZES, [kind]) for kind in ("full", "local"))
    assert exact - windows == 6 * 64 * 2 * 32 * (pairs["full"] - pairs["local"])
    assert needed_operations.causal_attention(SIZES) == 6 * 64 * 2 * 32 * pairs["full"]


def test_a_compiled_forward_pass_has_these_operations():
    """Exact attention computes all pairs, of which half are visible; a forward pass is a third of a step."""
    kinds = ["full", "full"]
    model = our_model.build(SIZES, attention_layers=kinds, reversible=False)
    forward = tf.function(lambda ids: model.token_losses(ids), jit_compile=True, autograph=False)
    counted = compiled_program.read(forward, tf.TensorSpec([1, 65], tf.int32))["matmul_flops"]
    invisible = 2 * needed_operations.causal_attention(SIZES) / 3
    needed = needed_operations.training_step(SIZES, kinds) / 3 + invisible
    assert needed <= counted <= 1.05 * needed
