"""When every pair of tokens meets in some window, LSH attention is exact shared query-key attention."""

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.layers import FullSelfAttention, LSHSelfAttention
from tests.conformance import cases, comparing


def _twins(causal, **arguments):
    """An LSH layer, and exact attention with the same weights."""
    layer = LSHSelfAttention(cases.HEADS, cases.DEPTH, causal=causal, seed=5, **arguments)
    layer.build([None, None, cases.WIDTH])
    cases.perturb(layer)
    full = FullSelfAttention(cases.HEADS, cases.DEPTH, causal=causal, shared_query_key=True)
    full.build([None, None, cases.WIDTH])
    full.set_weights([np.asarray(weight) for weight in layer.trainable_variables])
    return layer, full


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("length", [1, 2, 63, 64])
@pytest.mark.parametrize("masked", [False, True])
def test_lsh_with_a_local_round_is_exact_up_to_the_chunk_length(causal, length, masked):
    layer, full = _twins(causal, chunk_length=64, num_hashes=2, local_round=True)
    x, mask = cases.inputs(3, length), cases.masks(3, length) if masked else None
    comparing.assert_same(layer(x, mask=mask).numpy(), full(x, mask=mask).numpy())


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("length", [65, 300])
def test_lsh_is_exact_when_all_pairs_meet_in_some_round(causal, length):
    """Each round puts two of three groups of tokens into one bucket: every pair meets, many meet repeatedly."""
    layer, full = _twins(causal, chunk_length=length, num_hashes=3, num_buckets=2, local_round=False)
    x, mask = cases.inputs(3, length), cases.masks(3, length)
    groups = np.random.default_rng(0).integers(0, 3, [3, cases.HEADS, 1, length])
    buckets = (groups == np.arange(3)[:, None]).astype("int32")
    for kwargs in ({}, {"mask": mask}, {"segment_ids": (np.arange(length) // 50 * np.ones([3, 1])).astype("int32")}):
        comparing.assert_same(comparing.call(layer, x, buckets, **kwargs), full(x, **kwargs).numpy())


@pytest.mark.parametrize("causal", [False, True])
def test_lsh_is_exact_with_a_chunk_of_the_whole_length(causal):
    layer, full = _twins(causal, chunk_length=300, num_hashes=2, num_buckets=2, local_round=False)
    x = cases.inputs(2, 300)
    y = comparing.call(layer, x, np.zeros([2, cases.HEADS, 2, 300], "int32"))
    comparing.assert_same(y, full(x).numpy())


@pytest.mark.parametrize("causal", [False, True])
def test_gradients_are_exact_as_well_with_dropout(causal):
    layer, full = _twins(causal, chunk_length=64, num_hashes=2, local_round=True)
    layer = LSHSelfAttention.from_config({**layer.get_config(), "dropout": 0.2})
    full = FullSelfAttention.from_config({**full.get_config(), "dropout": 0.2, "seed": layer.seed})
    x, mask = tf.constant(cases.inputs(3, 64)), cases.masks(3, 64)
    upstream = tf.constant(cases.inputs(3, 64, seed=9))
    results = []
    for one in (layer, full):
        one.build(x.shape)
        cases.perturb(one)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = one(x, mask=mask, training=True, seed=tf.constant([1, 2]))
        results.append([y, *tape.gradient(y, [x, *one.trainable_variables], output_gradients=upstream)])
    for actual, expected in zip(*results, strict=True):
        comparing.assert_same(actual.numpy(), expected.numpy())
