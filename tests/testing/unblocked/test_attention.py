"""The unblocked core, and the layer on it, against the dense references."""

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.layers import LocalSelfAttention, LSHSelfAttention
from reformer_tf.ops import replay
from tests.testing import attention_reference as reference
from tests.testing import chunk_window_reference, dense_attention
from tests.testing.unblocked import attention as reference_attention
from tests.testing.unblocked import layer as reference_layer

LENGTH = 37


def _dense(entries: reference_attention.Entries) -> np.ndarray:
    """The number of times that each pair counts, `[L, L]`."""
    counts = np.zeros([len(entries.indices)] * 2, int)
    for query, (indices, seen) in enumerate(zip(*entries, strict=True)):
        for index in indices[seen]:
            counts[query, index] += 1
    return counts


@pytest.mark.parametrize("chunk_length", [1, 2, 5, 40])
@pytest.mark.parametrize("rounds", [1, 3])
def test_bucket_entries_are_the_union_of_the_windows(chunk_length, rounds):
    buckets = np.random.default_rng(rounds).integers(0, 4, [rounds, LENGTH])
    buckets[0] = 0  # A local round.
    expected = reference.visible_pairs(buckets[None, None], np.ones([1, LENGTH], bool), chunk_length, causal=True)
    counts = _dense(reference_attention.bucket_entries(buckets, chunk_length))
    np.testing.assert_array_equal(counts, expected[0, 0])


@pytest.mark.parametrize("chunk_length", [1, 4, 20])
def test_chunk_entries_count_as_often_as_they_meet(chunk_length):
    buckets = np.random.default_rng(0).integers(0, 4, [2, LENGTH])
    window = chunk_window_reference.Window(chunk_length, causal=True, exclude_self=True)
    expected = chunk_window_reference.meetings(buckets, np.ones(LENGTH, bool), window).sum(axis=0)
    np.testing.assert_array_equal(_dense(reference_attention.chunk_entries(buckets, chunk_length)), expected)


def _compare(layer, x, visible, monkeypatch, **options):
    """Compares outputs and gradients of the layer on the unblocked core with dense attention, in float64."""
    monkeypatch.setattr(reference_attention, "_BUDGET", 2000)  # Several slices.
    buckets = options.pop("buckets", None)
    heads = reference_layer.entries(layer, buckets, *x.shape[:2])
    weights = [tf.cast(weight.value, tf.float64) for weight in layer.trainable_variables]
    x, upstream = tf.constant(x), tf.constant(np.random.default_rng(5).normal(size=x.shape))
    found = []
    for function in (
        lambda x, *w: reference_layer.attention(x, w, heads, layer.rotary),
        lambda x, *w: dense_attention.dense_attention(x, w, visible, layer.shared_query_key, rotary=layer.rotary),
    ):
        with tf.GradientTape() as tape:
            tape.watch([x, *weights])
            y = function(x, *weights)
        found.append([y, *tape.gradient(y, [x, *weights], output_gradients=upstream)])
    for value, expected in zip(*found, strict=True):
        np.testing.assert_allclose(value, expected, atol=1e-10 * np.abs(expected).max())


@pytest.mark.parametrize("local_round", [False, True])
def test_an_lsh_layer(local_round, monkeypatch):
    layer = LSHSelfAttention(2, 8, chunk_length=4, num_hashes=2, causal=True, local_round=local_round, seed=1)
    layer.build((None, None, 12))
    x = np.random.default_rng(0).normal(size=[2, LENGTH, 12])
    with replay.recording() as recorded:
        layer(x.astype(np.float32), training=False)
    rounds = recorded[0].numpy()
    if local_round:
        rounds = np.concatenate([np.zeros_like(rounds[:, :, :1]), rounds], axis=2)
    visible = reference.visible_pairs(rounds, np.ones([2, LENGTH], bool), 4, causal=True)
    _compare(layer, x, visible, monkeypatch, buckets=recorded[0].numpy())


@pytest.mark.parametrize("rotary", [False, True])
def test_a_local_layer(rotary, monkeypatch):
    layer = LocalSelfAttention(2, 8, chunk_length=4, causal=True, rotary=rotary, seed=1)
    layer.build((None, None, 12))
    x = np.random.default_rng(0).normal(size=[2, LENGTH, 12])
    visible = reference.visible_pairs(np.zeros([2, 2, 1, LENGTH], int), np.ones([2, LENGTH], bool), 4, causal=True)
    _compare(layer, x, visible, monkeypatch)


def test_what_it_has_not_is_refused():
    for layer in (LSHSelfAttention(1, 8), LSHSelfAttention(1, 8, causal=True, window="chunk", chunks_before=2)):
        with pytest.raises(ValueError, match="layer must be causal and of default windows. Received: "):
            reference_layer.entries(layer, np.zeros([1, 1, 1, 8], int), 1, 8)
