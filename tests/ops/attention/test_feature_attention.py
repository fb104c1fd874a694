"""Attention by features: exact sums whatever the numbers are, in slices of any size, and without a look ahead."""

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.ops import feature_rows
from reformer_tf.ops.attention import feature_attention
from reformer_tf.ops.execution import budgets
from tests.testing import attention_reference as reference
from tests.testing import feature_reference

RANDOM = ("softmax", "softmax_regularized", "hyperbolic", "relu")


def _rows(features, number, size, seed=0):
    if features == "elu":
        return None
    count = number // 2 if features == "hyperbolic" else number
    return feature_rows.stored_rows(seed, count, size, features == "softmax_regularized")


def _vectors(length, size, scale=1.0, seed=1, heads=1, batch=1):
    rng = np.random.default_rng(seed)
    q, k, v = rng.normal(size=[3, batch, length, heads, size])
    return [x.astype("float32") for x in (scale * q, scale * k, v)]


def _attend(features, q, k, v, rows, causal=True, valid=None, segments=None):
    """From queries and keys that are not scaled."""
    rows = None if rows is None else tf.constant(rows)
    q = tf.constant(q * np.float32(q.shape[-1] ** -0.5))
    return feature_attention.attend(q, tf.constant(k), tf.constant(v), rows, features, valid, segments, causal).numpy()


def _expected(features, q, k, v, rows, causal=True):
    q, k, v = (x.astype("float64").transpose(0, 2, 1, 3) for x in (q, k, v))
    visible = reference.all_pairs(np.ones([len(q), q.shape[2]], bool), q.shape[1], causal)
    weights = lambda q, k: feature_reference.log_weights(features, q, k, rows)
    return reference.attend(q, k / q.shape[-1] ** 0.5, v, visible, 0.0, weights).transpose(0, 2, 1, 3)


@pytest.mark.parametrize("features", [*RANDOM, "elu"])
@pytest.mark.parametrize("causal", [True, False])
def test_groups_of_any_size_give_the_same_outputs_and_gradients(features, causal):
    q, k, v = _vectors(300, 8, heads=2)
    rows = _rows(features, 16, 8)
    segments = tf.constant(np.repeat([3, 1, 1, 3, 2], 120).reshape([2, 300]).astype("int32"))
    valid = tf.constant(np.random.default_rng(4).random([2, 300]) < 0.8)

    def run():
        inputs = [tf.constant(x) for x in (q, k, v)]
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            y = feature_attention.attend(
                *inputs, None if rows is None else tf.constant(rows), features, valid, segments, causal
            )
        return [y, *tape.gradient(y, inputs, output_gradients=tf.sin(tf.range(2.0 * 300 * 8)).numpy().reshape(y.shape))]

    whole = run()
    with budgets.override(feature_bytes=1):
        parts = run()
    for one, other in zip(parts, whole, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5 * np.abs(other).max())


@pytest.mark.parametrize("features", ["softmax", "softmax_regularized", "hyperbolic"])
@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize("longer", [1, 20, 200])
def test_the_worst_later_key_changes_no_earlier_output(features, size, longer):
    q, k, v = _vectors(150, size)
    rows = _rows(features, 256, size)
    before = _attend(features, q, k, v, rows)
    for position in (149, 70, 1):
        other_k, other_v = k.copy(), v.copy()
        # The key whose log-feature is the largest that a key of any length can have.
        other_k[:, position] = longer * rows[3] * size**0.25
        other_v[:, position] = 100
        after = _attend(features, q, other_k, other_v, rows)
        np.testing.assert_allclose(after[:, :position], before[:, :position], atol=1e-5)
        assert np.abs(after[:, position:] - before[:, position:]).max() > (0 if longer > 1 else 1)


@pytest.mark.parametrize("features", [*RANDOM, "elu"])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("scale", [0.25, 1.0])
def test_sums_are_those_of_the_same_features_in_float64(features, causal, scale):
    q, k, v = _vectors(200, 64, scale)
    rows = _rows(features, 256, 64)
    expected = _expected(features, q, k, v, rows, causal)
    np.testing.assert_allclose(_attend(features, q, k, v, rows, causal), expected, atol=1e-5)


@pytest.mark.parametrize("lengthened", ["queries", "keys", "both", "early"])
def test_no_sum_vanishes_or_overflows_with_vectors_of_any_length(lengthened):
    """Float32 rounds the exponents of long vectors; so the features are the same on both sides, to their last digit."""
    rng = np.random.default_rng(3)
    # Multiples of 1/8 with few digits: products and their sums are exact.
    q, k = (np.round(8 * x) / 8 for x in rng.normal(size=[2, 1, 150, 1, 16]))
    rows = (np.round(8 * rng.normal(size=[32, 16])) / 8).astype("float32")
    if lengthened in ("queries", "both"):
        q[:, ::3] *= 20
    if lengthened in ("keys", "both"):
        k[:, 1::4] *= 20
    if lengthened == "early":
        q[:, :40] *= 20
        k[:, :40] *= 20
    q, k, v = 4 * q.astype("float32"), k.astype("float32"), rng.normal(size=q.shape).astype("float32")
    actual = _attend("softmax", q, k, v, rows)
    np.testing.assert_allclose(actual, _expected("softmax", q, k, v, rows), atol=1e-5)


def test_masked_tokens_leave_nothing_behind():
    q, k, v = _vectors(100, 8)
    rows = _rows("softmax", 16, 8)
    keep = np.random.default_rng(5).random(100) < 0.6
    short = _attend("softmax", *(x[:, keep] for x in (q, k, v)), rows)
    k[:, ~keep] *= 50
    v[:, ~keep] = 1e6
    whole = _attend("softmax", q, k, v, rows, valid=tf.constant(keep[None]))
    np.testing.assert_allclose(whole[:, keep], short, atol=1e-5)
    np.testing.assert_array_equal(whole[:, ~keep], 0)
    # With all keys masked there is nothing to see.
    for causal in (True, False):
        nothing = _attend("softmax", q, k, v, rows, causal, valid=tf.constant(np.zeros([1, 100], bool)))
        np.testing.assert_array_equal(nothing, 0)


def test_a_masked_token_ends_no_run():
    segments = tf.constant([[4, 4, 9, 4, 7, 7, 4]])
    assert feature_attention.runs_of_equal_ids(segments, None).numpy().tolist() == [[0, 0, 1, 2, 3, 3, 4]]
    valid = tf.constant([[True, True, False, True, True, False, False]])
    runs = feature_attention.runs_of_equal_ids(segments, valid).numpy()[0]
    assert runs[[0, 1, 3, 4]].tolist() == [0, 0, 0, 1]
