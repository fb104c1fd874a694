"""Properties of `window="chunk"`: invariances, exactness, and dropout as a function of the seed."""

import numpy as np
import pytest
import tensorflow as tf

from tests.conformance import cases, comparing
from tests.layers.attention import chunk_window_cases as settings

FIXED = [
    ("lsh", "plain"),
    ("lsh", "one_round"),
    ("lsh", "factors"),
    ("lsh", "beyond"),
    ("local", "plain"),
    ("local", "beyond"),
]


@settings.each(FIXED)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("length", [1, 4, 5, 12, 37])
def test_trailing_padding_changes_nothing_without_wrap_and_with_a_fixed_bucket_count(kind, name, causal, length):
    layer, x = settings.make_layer(kind, name, causal), cases.inputs(2, length)
    y, buckets = cases.call_and_buckets(layer, x)
    for amount, content in ((1, 0.0), (9, np.nan), (30, np.inf)):
        padded = np.pad(x, [[0, 0], [0, amount], [0, 0]], constant_values=content)
        mask = np.arange(length + amount) < length * np.ones([2, 1])
        others = cases.call_and_buckets(layer, padded, mask=mask)[1]
        comparing.assert_same_buckets(layer, x, buckets, others)
        if buckets is not None:
            others = np.concatenate([buckets, others[..., length:]], axis=-1)
        comparing.assert_same(comparing.call(layer, padded, others, mask=mask)[:, :length], y)


@settings.each(settings.SETTINGS)
def test_neighbours_in_the_batch_change_nothing(kind, name):
    layer, x, mask = settings.make_layer(kind, name), cases.inputs(3, 37), cases.masks(3, 37)
    y, buckets = cases.call_and_buckets(layer, x, mask=mask)
    for row in range(3):
        row_buckets = None if buckets is None else buckets[[row]]
        comparing.assert_same(comparing.call(layer, x[[row]], row_buckets, mask=mask[[row]]), y[[row]])
    x[1:], mask[1:] = np.nan, False
    comparing.assert_same(comparing.call(layer, x, buckets, mask=mask)[:1], y[:1])


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kind", ["lsh", "local"])
def test_up_to_the_exact_length_it_is_exact_attention(kind, causal):
    layer = settings.make_layer(kind, "exact", causal, wrap=True)
    twin = settings.exact_twin(layer)
    for length in (1, 2, 10, 11):
        x, mask = cases.inputs(3, length), cases.masks(3, length)
        comparing.assert_same(layer(x, mask=mask).numpy(), twin(x, mask=mask).numpy())
    x = cases.inputs(2, 12)
    assert np.max(np.abs(layer(x) - twin(x))) > 1e-3


@settings.each(settings.SOME)
def test_dropout_is_decided_by_the_seed_and_off_in_inference(kind, name):
    layer, x = settings.make_layer(kind, name, dropout=0.4), cases.inputs(2, 37)
    y, buckets = cases.call_and_buckets(layer, x)
    np.testing.assert_array_equal(y, layer(x, seed=tf.constant([1, 2])))
    seeds = ([1, 2], [1, 2], [1, 3])
    same = [comparing.call(layer, x, buckets, training=True, seed=tf.constant(seed)) for seed in seeds]
    np.testing.assert_array_equal(same[0], same[1])
    assert np.max(np.abs(same[0] - same[2])) > 0.01


@pytest.mark.parametrize("kind", ["lsh", "local"])
def test_a_pair_that_meets_repeatedly_is_dropped_as_one(kind):
    """Two rounds, or a ring of one chunk: each pair meets equally often, which equals meeting once."""
    layer = settings.make_layer(kind, "plain", causal=False, dropout=0.4, chunk_length=11, exact_length=0, wrap=True)
    twin = settings.exact_twin(layer, dropout=0.4, seed=layer.seed)
    x, kwargs = cases.inputs(3, 11), {"mask": cases.masks(3, 11), "training": True, "seed": tf.constant([1, 2])}
    comparing.assert_same(layer(x, **kwargs).numpy(), twin(x, **kwargs).numpy())
