"""Settings of `window="chunk"`, layers with them, and the expected outputs of these layers."""

import numpy as np
import pytest

from reformer_tf.layers import FullSelfAttention
from tests.conformance import cases
from tests.testing import attention_reference, chunk_window_reference

C = 4
LSH = {
    "plain": {"num_hashes": 2, "num_buckets": 4},
    "one_round": {"num_hashes": 1, "num_buckets": 2},
    "four_rounds": {"num_hashes": 4, "num_buckets": 6, "wrap": True},
    "released": {"num_hashes": 2, "wrap": True},
    "factors": {"num_hashes": 2, "num_buckets": [2, 4], "chunks_after": 1},
    "follows_in_factors": {"num_hashes": 2, "chunk_length": 1, "max_sequence_length": 40, "chunks_before": 3},
    "own_chunk": {"num_hashes": 2, "num_buckets": 4, "chunks_before": 0, "wrap": True},
    "after_only": {"num_hashes": 2, "num_buckets": 4, "chunks_before": 0, "chunks_after": 2},
    "beyond": {"num_hashes": 2, "num_buckets": 4, "chunks_before": 7, "chunks_after": 5},
    "beyond_the_ring": {"num_hashes": 2, "num_buckets": 4, "chunks_before": 7, "chunks_after": 5, "wrap": True},
    "multiple": {"num_hashes": 2, "wrap": True, "length_multiple": 12, "exact_length": 2},
    "exact": {"num_hashes": 2, "num_buckets": 4, "wrap": True, "exact_length": 11},
    "never_exact": {"num_hashes": 2, "num_buckets": 4, "wrap": True, "exact_length": 0},
    "bias": {"num_hashes": 2, "num_buckets": 4, "wrap": True, "use_bias": True, "rotary": True},
}
LOCAL = {
    "plain": {},
    "released": {"wrap": True},
    "shared": {"shared_query_key": True, "wrap": True, "use_bias": True},
    "both_sides": {"chunks_after": 1, "wrap": True},
    "own_chunk": {"chunks_before": 0},
    "beyond": {"chunks_before": 5, "chunks_after": 4},
    "beyond_the_ring": {"chunks_before": 5, "chunks_after": 4, "wrap": True, "exact_length": 0},
    "multiple": {"length_multiple": 12, "exact_length": 2, "wrap": True},
    "exact": {"exact_length": 11, "rotary": True},
}
SETTINGS = [("lsh", name) for name in LSH] + [("local", name) for name in LOCAL]
SOME = [
    ("lsh", "released"),
    ("lsh", "beyond_the_ring"),
    ("lsh", "exact"),
    ("local", "both_sides"),
    ("local", "multiple"),
]


def each(settings):
    """Runs a test with each of some settings, as `kind` and `name`."""
    return pytest.mark.parametrize(("kind", "name"), settings, ids=["-".join(setting) for setting in settings])


def make_layer(kind, name, causal=True, **changes):
    """Makes a layer with random weights."""
    setting = {"lsh": LSH, "local": LOCAL}[kind][name]
    arguments = {"window": "chunk", "chunk_length": C, **setting, **changes}
    # The settings override those of the conformance case; its bucket count does not apply here.
    arguments = {"num_buckets": None, **arguments} if kind == "lsh" else arguments
    return cases.make_layer(cases.Case(kind, "default", causal), **arguments)


def expected(layer, x, buckets, mask=None, segment_ids=None):
    """The layer with the attention of the reference that lists every key."""
    weights = [np.asarray(weight) for weight in layer.trainable_variables]
    projections = attention_reference.Projections.from_weights(weights, layer.shared_query_key, layer.use_bias)
    maybe_rotate = attention_reference.rotate if layer.rotary else np.asarray
    mask = np.ones(x.shape[:2], bool) if mask is None else mask
    x = np.where(mask[..., None], x, 0.0)
    q = maybe_rotate(attention_reference.project(x, projections.query, projections.query_bias))
    v = attention_reference.project(x, projections.value, projections.value_bias)
    if layer.shared_query_key:
        k = attention_reference.shared_keys(q)
    else:
        k = maybe_rotate(attention_reference.project(x, projections.key, projections.key_bias)) / np.sqrt(layer.key_dim)
    o = chunk_window_reference.attend(q, k, v, buckets, mask, cases.chunk_window(layer), segment_ids)
    return np.einsum("bhld,hdm->blm", o, projections.output) + projections.output_bias


def exact_twin(layer, **changes):
    """Exact attention with the same weights."""
    twin = FullSelfAttention(
        cases.HEADS,
        cases.DEPTH,
        causal=layer.causal,
        shared_query_key=layer.shared_query_key,
        rotary=layer.rotary,
        **changes,
    )
    twin.build([None, None, cases.WIDTH])
    twin.set_weights([np.asarray(weight) for weight in layer.trainable_variables])
    return twin
