"""The references themselves, on cases small enough for pencil and paper."""

import numpy as np
import pytest
import tensorflow as tf

from tests.testing import attention_reference as reference
from tests.testing import dense_attention, reversible_reference


def _pairs(meets: np.ndarray) -> list[str]:
    return ["".join("x" if seen else "." for seen in row) for row in meets]


def test_causal_window_is_the_last_entries_of_the_own_bucket():
    buckets = np.array([0, 1, 0, 0, 1, 0])
    meets = reference.window(buckets, np.ones(6, bool), chunk_length=2, causal=True)
    assert _pairs(meets) == ["x.....", ".x....", "x.x...", "..xx..", ".x..x.", "...x.x"]


def test_bidirectional_window_reaches_as_far_to_both_sides():
    buckets = np.array([0, 1, 0, 0, 1, 0])
    meets = reference.window(buckets, np.ones(6, bool), chunk_length=2, causal=False)
    assert _pairs(meets) == ["x.x...", ".x..x.", "x.xx..", "..xx.x", ".x..x.", "...x.x"]


def test_masked_tokens_take_no_rank():
    mask = np.array([True, False, True, False, True])
    meets = reference.window(np.zeros(5, int), mask, chunk_length=2, causal=True)
    assert _pairs(meets) == ["x....", ".....", "x.x..", ".....", "..x.x"]


def test_chunk_length_one_is_the_token_itself():
    assert _pairs(reference.window(np.zeros(3, int), np.ones(3, bool), 1, causal=False)) == ["x..", ".x.", "..x"]


def test_rounds_are_united_and_segments_divide_without_changing_ranks():
    rounds = np.array([[[[0, 0, 1, 1], [0, 1, 1, 0]]]])
    mask = np.ones([1, 4], bool)
    assert _pairs(reference.visible_pairs(rounds, mask, 2, True)[0, 0]) == ["x...", "xx..", ".xx.", "x.xx"]
    segments = np.array([[0, 1, 1, 1]])
    assert _pairs(reference.visible_pairs(rounds, mask, 2, True, segments)[0, 0]) == ["x...", ".x..", ".xx.", "..xx"]
    # The window of token 2 holds itself and token 1; token 1 of another segment still counts, so token 0 is outside.
    one_bucket = np.zeros([1, 1, 1, 4], int)
    assert _pairs(reference.visible_pairs(one_bucket, mask, 2, True, np.array([[0, 1, 0, 1]]))[0, 0]) == [
        "x...",
        ".x..",
        "..x.",
        "...x",
    ]


def test_all_pairs():
    mask = np.array([[True, False, True]])
    assert _pairs(reference.all_pairs(mask, 1, causal=True)[0, 0]) == ["x..", "...", "x.x"]
    assert _pairs(reference.all_pairs(mask, 1, causal=False)[0, 0]) == ["x.x", "...", "x.x"]


def test_hash_of_one_factor():
    rotations = np.eye(2)[None, :, None, :]  # h(x) = argmax(x_0, x_1, -x_0, -x_1)
    q = np.array([[3.0, 1.0], [1.0, 3.0], [-3.0, 1.0], [1.0, -3.0]])[None, None]
    assert reference.hash_buckets(q, rotations, [4])[0, 0, 0].tolist() == [0, 1, 2, 3]


def test_hash_of_two_factors_is_mixed_radix():
    rotations = np.eye(3)[None, :, None, :]  # The first column is the half of factor 2, the others that of factor 4.
    q = np.array([[1.0, 9.0, 1.0], [-1.0, 1.0, -9.0]])[None, None]
    assert reference.hash_buckets(q, rotations, [2, 4])[0, 0, 0].tolist() == [0 + 2 * 0, 1 + 2 * 3]


def test_rotary_positions():
    x = np.array([[1.0, 2.0, 3.0, 4.0]] * 3)
    y = reference.rotate(x)
    np.testing.assert_allclose(y[0], x[0])
    np.testing.assert_allclose(y[1, [0, 2]], [np.cos(1) - 3 * np.sin(1), 3 * np.cos(1) + np.sin(1)])
    np.testing.assert_allclose(y[2, [1, 3]], [2 * np.cos(0.02) - 4 * np.sin(0.02), 4 * np.cos(0.02) + 2 * np.sin(0.02)])
    np.testing.assert_allclose(y[0] @ y[1], y[1] @ y[2])  # Products depend on the distance only.


def test_attend_by_hand():
    q = np.array([[0.0], [1.0], [2.0]])[None, None]
    k = np.array([[np.log(2.0)], [np.log(3.0)], [0.0]])[None, None]
    v = np.array([[10.0], [20.0], [40.0]])[None, None]
    visible = np.array([[True, False, False], [True, True, False], [False, False, False]])[None, None]
    out = reference.attend(q, k, v, visible, self_penalty=0.0)[0, 0, :, 0]
    np.testing.assert_allclose(out, [10.0, (2 * 10 + 3 * 20) / 5, 0.0])
    # With the penalty a token sees itself only when it sees nothing else.
    out = reference.attend(q, k, v, visible, reference.SELF_PENALTY)[0, 0, :, 0]
    np.testing.assert_allclose(out, [10.0, 10.0, 0.0])


def test_shared_keys_have_unit_length():
    q = np.random.default_rng(0).normal(size=[5, 7])
    np.testing.assert_allclose(np.linalg.norm(reference.shared_keys(q), axis=-1), 1.0, atol=1e-5)
    assert not reference.shared_keys(np.zeros([1, 4])).any()


def test_layer_by_hand():
    x = np.array([[[1.0, 0.0], [0.0, 1.0]]])  # Two tokens, width 2, one head of depth 1.
    ones = np.ones([2, 1, 1])
    value = np.array([3.0, 5.0])[:, None, None]
    projections = reference.Projections.from_weights([ones, value, np.array([[[1.0, -1.0]]])], shared_query_key=True)
    out = reference.attention(x, projections, reference.all_pairs(np.ones([1, 2], bool), 1, causal=False))
    np.testing.assert_allclose(out, [[[5.0, -5.0], [3.0, -3.0]]])  # Each token sees the other.
    # Not shared: logits 1 * 1 for all pairs, so each token takes the mean of both values.
    projections = reference.Projections.from_weights(
        [ones, ones, value, np.array([[[1.0, -1.0]]])], shared_query_key=False
    )
    out = reference.attention(x, projections, reference.all_pairs(np.ones([1, 2], bool), 1, causal=False))
    np.testing.assert_allclose(out, [[[4.0, -4.0], [4.0, -4.0]]])


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("rotary", [True, False])
def test_dense_tensorflow_equals_numpy(shared, use_bias, rotary):
    rng = np.random.default_rng(1)
    shapes = [[6, 2, 4]] * (2 if shared else 3) + [[2, 4, 6]]
    biases = [[2, 4]] * (2 if shared else 3) + [[6]]
    weights = []
    for kernel, bias in zip(shapes, biases, strict=True):
        weights += [rng.normal(size=kernel)] + ([rng.normal(size=bias)] if use_bias else [])
    x = rng.normal(size=[2, 9, 6])
    mask = rng.random([2, 9]) < 0.7
    visible = reference.visible_pairs(rng.integers(0, 3, [2, 2, 2, 9]), mask, 2, causal=True)
    expected = reference.attention(x, reference.Projections.from_weights(weights, shared, use_bias), visible, rotary)
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = dense_attention.dense_attention(x, [tf.constant(w) for w in weights], visible, shared, use_bias, rotary)
    np.testing.assert_allclose(y, expected, atol=1e-12)
    assert np.isfinite(tape.gradient(y, x)).all()


def test_reversible_stack_by_hand():
    layers = [(lambda x: 2 * x, lambda x: x + 1), (lambda x: -x, lambda x: 3 * x)]
    # y1 = 1 + 2 * 10 = 21, y2 = 10 + 22 = 32; then y1 = 21 - 32 = -11, y2 = 32 - 33 = -1.
    x1, x2 = np.array([1.0]), np.array([10.0])
    assert reversible_reference.forward(x1, x2, layers) == (-11.0, -1.0)
    assert reversible_reference.backward_inputs(np.array([-11.0]), np.array([-1.0]), layers) == (x1, x2)
