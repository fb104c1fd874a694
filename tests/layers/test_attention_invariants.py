"""What must hold for every attention layer: determinism, causality, exactness in the limit, padding that is not there.

Rounding may move a token near the boundary of two buckets into the other one. So outputs are compared with the same
buckets on both sides, and buckets are compared apart from that: where they differ there must be a near-tie.
"""

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.layers import FullSelfAttention, LSHSelfAttention
from reformer_tf.ops import hashing
from tests.conformance import cases
from tests.testing import attention_reference as reference
from tests.testing import near_ties

BOUND = 1e-5


def _assert_same(actual, expected):
    assert actual.shape == expected.shape
    assert np.isfinite(actual).all()
    assert np.max(np.abs(actual - expected), initial=0.0) <= BOUND * max(1.0, np.max(np.abs(expected), initial=0.0))


def _assert_same_buckets(layer, x, buckets, others, mask=None):
    """Of the tokens that both have, up to near-ties."""
    if buckets is None:
        return
    length = min(buckets.shape[-1], others.shape[-1])
    kernel, bias = np.asarray(layer.trainable_variables[0]), layer.trainable_variables[1] if layer.use_bias else 0.0
    q = reference.project(x[:, :length], kernel, np.asarray(bias))
    (rotations,) = [np.asarray(weight) for weight in layer.weights if weight.name == "rotations"]
    if layer.num_buckets is None:
        factors = hashing.default_num_buckets(layer.max_sequence_length, layer.chunk_length)
    else:
        factors = hashing.bucket_factors(layer.num_buckets)
    gaps = near_ties.gaps(q, rotations, factors)
    mask = np.ones([len(x), length], bool) if mask is None else mask[:, :length]
    near_ties.count_flips(buckets[..., :length], others[..., :length], gaps, 1e-5, mask)


def _call(layer, x, buckets, **kwargs):
    with cases.replaying(buckets):
        return np.asarray(layer(x, **kwargs))


# Randomness is an argument.


@cases.each(cases.ALL)
def test_inference_is_deterministic(case):
    layer, x = cases.make_layer(case, dropout=0.5), cases.inputs(2, 65)
    np.testing.assert_array_equal(layer(x), layer(x))
    np.testing.assert_array_equal(layer(x), layer(x, seed=tf.constant([3, 4])))


@cases.each(cases.DEFAULTS)
@pytest.mark.parametrize("jit_compile", [False, True])
def test_inference_in_graph_and_xla_equals_eager(case, jit_compile):
    layer, x = cases.make_layer(case), cases.inputs(2, 300)
    y, buckets = cases.call_and_buckets(layer, x)

    def call(x):
        with cases.replay.recording() as kept:
            return layer(x), *kept

    z, *others = tf.function(call, jit_compile=jit_compile)(x)
    _assert_same_buckets(layer, x, buckets, *[other.numpy() for other in others] or [None])
    if others and not np.array_equal(buckets, others[0]):
        z = _call(layer, x, others[0])
        y = _call(layer, x, others[0])
    _assert_same(np.asarray(z), y)


@cases.each(cases.DEFAULTS)
@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
def test_a_seed_decides_a_training_call(case, mode):
    layer, x = cases.make_layer(case, dropout=0.3), cases.inputs(2, 65)
    eager, buckets = cases.call_and_buckets(layer, x, training=True, seed=tf.constant([7, 1]))

    def call(x, seed):
        with cases.replaying(buckets):
            return layer(x, training=True, seed=seed)

    call = call if mode == "eager" else tf.function(call, jit_compile=mode == "xla")
    same, other = call(x, tf.constant([7, 1])), call(x, tf.constant([7, 2]))
    _assert_same(np.asarray(same), eager)
    assert np.max(np.abs(other - same)) > 0.01


@cases.each(cases.DEFAULTS)
def test_training_without_a_seed_draws_anew(case):
    layer, x = cases.make_layer(case, dropout=0.3), cases.inputs(2, 65)
    assert np.max(np.abs(layer(x, training=True) - layer(x, training=True))) > 0.01


def test_training_draws_new_rotations_from_the_seed_only():
    layer, x = cases.make_layer(cases.Case("lsh", "default", True)), cases.inputs(2, 300)
    kept = LSHSelfAttention.from_config({**layer.get_config(), "redraw_rotations": False})
    kept.build(x.shape)
    kept.set_weights(layer.get_weights())
    inference = cases.call_and_buckets(layer, x)[1]
    first = cases.call_and_buckets(layer, x, training=True, seed=tf.constant([1, 1]))[1]
    again = cases.call_and_buckets(layer, x, training=True, seed=tf.constant([1, 1]))[1]
    second = cases.call_and_buckets(layer, x, training=True, seed=tf.constant([1, 2]))[1]
    shifted = cases.call_and_buckets(layer, x, training=True, seed=tf.constant([1, 1, 6]))[1]
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, shifted)
    for one, other in ((inference, first), (first, second)):
        assert np.mean(one != other) > 0.3
    np.testing.assert_array_equal(
        inference, cases.call_and_buckets(kept, x, training=True, seed=tf.constant([1, 1]))[1]
    )


# Strictly causal.

CAUSAL = [case for case in cases.ALL if case.causal]


@cases.each(CAUSAL)
@pytest.mark.parametrize("masked", [False, True])
def test_later_tokens_do_not_change_earlier_outputs(case, masked):
    layer, x, length = cases.make_layer(case), cases.inputs(2, 130), 130
    mask = cases.masks(2, length) if masked else None
    y, buckets = cases.call_and_buckets(layer, x, mask=mask)
    for kept in (1, 16, 63, 64, 65, 129):
        changed = np.concatenate([x[:, :kept], 3.0 * cases.inputs(2, length - kept, seed=kept)], axis=1)
        z, others = cases.call_and_buckets(layer, changed, mask=mask)
        _assert_same_buckets(layer, x, buckets, None if others is None else others[..., :kept], mask)
        if buckets is not None:
            z = _call(layer, changed, np.concatenate([buckets[..., :kept], others[..., kept:]], axis=-1), mask=mask)
        _assert_same(z[:, :kept], y[:, :kept])
        assert np.max(np.abs(z[:, kept:] - y[:, kept:])) > 0.01


@cases.each(CAUSAL)
@pytest.mark.parametrize("masked", [False, True])
def test_cutting_off_later_tokens_does_not_change_earlier_outputs(case, masked):
    layer, x = cases.make_layer(case), cases.inputs(2, 130)
    mask = cases.masks(2, 130) if masked else None
    y, buckets = cases.call_and_buckets(layer, x, mask=mask)
    for kept in (1, 2, 16, 63, 64, 65, 129):
        kept_mask = None if mask is None else mask[:, :kept]
        _, others = cases.call_and_buckets(layer, x[:, :kept], mask=kept_mask)
        _assert_same_buckets(layer, x, buckets, others, mask)
        z = _call(layer, x[:, :kept], None if buckets is None else buckets[..., :kept], mask=kept_mask)
        _assert_same(z, y[:, :kept])


# Exact in the limit.


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
    _assert_same(layer(x, mask=mask).numpy(), full(x, mask=mask).numpy())


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("length", [65, 300])
def test_lsh_is_exact_when_all_pairs_meet_in_some_round(causal, length):
    """Three groups of tokens, of which each round puts two into one bucket: every pair meets, many meet repeatedly."""
    layer, full = _twins(causal, chunk_length=length, num_hashes=3, num_buckets=2, local_round=False)
    x, mask = cases.inputs(3, length), cases.masks(3, length)
    groups = np.random.default_rng(0).integers(0, 3, [3, cases.HEADS, 1, length])
    buckets = (groups == np.arange(3)[:, None]).astype("int32")
    for kwargs in ({}, {"mask": mask}, {"segment_ids": (np.arange(length) // 50 * np.ones([3, 1])).astype("int32")}):
        _assert_same(_call(layer, x, buckets, **kwargs), full(x, **kwargs).numpy())


@pytest.mark.parametrize("causal", [False, True])
def test_lsh_is_exact_with_a_chunk_of_the_whole_length(causal):
    layer, full = _twins(causal, chunk_length=300, num_hashes=2, num_buckets=2, local_round=False)
    x = cases.inputs(2, 300)
    y = _call(layer, x, np.zeros([2, cases.HEADS, 2, 300], "int32"))
    _assert_same(y, full(x).numpy())


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
        _assert_same(actual.numpy(), expected.numpy())


# Padding does not matter.


@pytest.mark.parametrize(
    ("case", "length", "training"),
    [
        *[(case, length, False) for case in cases.ALL for length in (1, 65)],
        *[
            (case, length, training)
            for case in cases.DEFAULTS
            for length in (2, 63, 64, 300)
            for training in (False, True)
        ],
    ],
)
def test_trailing_padding_changes_nothing(case, length, training):
    """Neither its amount nor its content, in training with dropout as well."""
    layer, x = cases.make_layer(case, dropout=0.2), cases.inputs(2, length)
    kwargs = {"training": training, "seed": tf.constant([1, 2])}
    y, buckets = cases.call_and_buckets(layer, x, **kwargs)
    for amount, content in ((1, 0.0), (40, 1e30), (40, np.nan), (3, np.inf)):
        padded = np.pad(x, [[0, 0], [0, amount], [0, 0]], constant_values=content)
        mask = np.arange(length + amount) < length * np.ones([2, 1])
        _, others = cases.call_and_buckets(layer, padded, mask=mask, **kwargs)
        if not training:  # The rotations of training calls are not the layer's own; their buckets need no tracing.
            _assert_same_buckets(layer, x, buckets, others)
        if buckets is not None:
            others = np.concatenate([buckets, others[..., length:]], axis=-1)
        z = _call(layer, padded, others, mask=mask, **kwargs)
        _assert_same(z[:, :length], y)
        assert np.isfinite(z).all()


@cases.each(cases.ALL)
def test_gradients_ignore_padding(case):
    layer, x = cases.make_layer(case), cases.inputs(2, 65)
    buckets = cases.call_and_buckets(layer, x)[1]
    upstream = cases.inputs(2, 65, seed=8)

    def gradients(x, buckets, mask=None):
        x = tf.constant(x)
        with tf.GradientTape() as tape, cases.replaying(buckets):
            tape.watch(x)
            y = layer(x, mask=mask)[:, :65]
        return [np.asarray(g) for g in tape.gradient(y, [x, *layer.trainable_variables], output_gradients=upstream)]

    padded = np.pad(x, [[0, 0], [0, 20], [0, 0]], constant_values=np.nan)
    more = None if buckets is None else np.pad(buckets, [[0, 0], [0, 0], [0, 0], [0, 20]])
    dx, *expected = gradients(x, buckets)
    dx_padded, *actual = gradients(padded, more, np.arange(85) < 65 * np.ones([2, 1]))
    _assert_same(dx_padded[:, :65], dx)
    np.testing.assert_array_equal(dx_padded[:, 65:], 0.0)
    for one, other in zip(actual, expected, strict=True):
        _assert_same(one, other)


@cases.each(cases.ALL)
def test_masked_tokens_in_the_middle_are_as_if_they_were_not_there(case):
    layer, x = cases.make_layer(case), cases.inputs(1, 130)
    mask = np.random.default_rng(0).random([1, 130]) < 0.7
    x[~mask] = np.nan
    y, buckets = cases.call_and_buckets(layer, x, mask=mask)
    without = None if buckets is None else buckets[..., mask[0]]
    _assert_same(y[:, mask[0]], _call(layer, x[:, mask[0]], without))
    empty = np.zeros(cases.WIDTH) if not layer.use_bias else np.asarray(layer.trainable_variables[-1])
    _assert_same(y[:, ~mask[0]], np.broadcast_to(empty, [1, np.sum(~mask), cases.WIDTH]))


@cases.each(cases.ALL)
def test_a_batch_row_does_not_depend_on_its_neighbours_or_its_place(case):
    layer, x, mask = cases.make_layer(case), cases.inputs(4, 100), cases.masks(4, 100)
    y, buckets = cases.call_and_buckets(layer, x, mask=mask)
    order = [2, 0, 3, 1]
    shuffled = None if buckets is None else buckets[order]
    _assert_same(_call(layer, x[order], shuffled, mask=mask[order]), y[order])
    for row in range(4):
        alone = None if buckets is None else buckets[[row]]
        _assert_same(_call(layer, x[[row]], alone, mask=mask[[row]]), y[[row]])
    x[1:] = np.nan
    mask[1:] = False
    _assert_same(_call(layer, x, buckets, mask=mask)[:1], y[:1])


@cases.each(cases.ALL)
def test_a_row_without_a_real_token_gives_nothing(case):
    layer, x = cases.make_layer(case), cases.inputs(2, 33)
    y = layer(x, mask=np.zeros([2, 33], bool)).numpy()
    empty = np.zeros(cases.WIDTH) if not layer.use_bias else np.asarray(layer.trainable_variables[-1])
    _assert_same(y, np.broadcast_to(empty, y.shape))
