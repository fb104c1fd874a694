"""The reversible stack against the plain one, and inputs that it refuses."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.layers import (
    ChunkedFeedForward,
    FullSelfAttention,
    LocalSelfAttention,
    LSHSelfAttention,
    ResidualBranch,
    ReversibleStack,
)
from tests.testing import reversible_reference, twin_stacks

WIDTH = 16
SEED = tf.constant([3, 4])


def _blocks(layers=3, dropout=0.2, **options):
    kinds = (
        lambda i: LSHSelfAttention(2, 8, 8, 2, [2, 4], causal=True, dropout=dropout, seed=i, **options),
        lambda i: LocalSelfAttention(2, 8, 8, causal=True, dropout=dropout, seed=i, **options),
        lambda i: FullSelfAttention(2, 8, causal=True, dropout=dropout, seed=i, **options),
    )
    return [
        (
            ResidualBranch(kinds[i % 3](i), dropout, seed=100 + i, **options),
            ResidualBranch(ChunkedFeedForward(32, chunk_length=30, **options), dropout, seed=200 + i, **options),
        )
        for i in range(layers)
    ]


def _twins(**options):
    """A reversible and a plain stack with the same random weights, all kinds of attention among them."""
    return twin_stacks.make(lambda: _blocks(**options), WIDTH)


def _inputs(length=53):
    rng = np.random.default_rng(1)
    pair = [tf.constant(rng.normal(size=(3, length, WIDTH)), tf.float32) for _ in range(2)]
    mask = np.ones((3, length), bool)
    mask[1, 30:] = False
    mask[2, 5:9] = False
    upstream = [tf.constant(rng.normal(size=(3, length, WIDTH)), tf.float32) for _ in range(2)]
    return pair, tf.constant(mask), upstream


def _gradients(stack, pair, mask, upstream, seed=SEED, training=True):
    values = [v.value for v in stack.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch([*pair, *values])
        outputs = stack(pair, mask=mask, seed=seed, training=training)
    return [*outputs, *tape.gradient(outputs, [*pair, *values], output_gradients=upstream)]


def _assert_close(actual, expected, bound=1e-5):
    outputs, wanted = (x[:2] for x in (actual, expected))
    for a, b in zip(outputs, wanted, strict=True):
        np.testing.assert_allclose(a, b, atol=bound * np.abs(b).max())
    largest = max(np.abs(b).max() for b in expected[2:])
    errors = [np.abs(a - b).max() / largest for a, b in zip(actual[2:], expected[2:], strict=True)]
    assert max(errors) <= bound
    assert all(np.abs(b).max() > 0 for b in expected[2:])


@pytest.mark.parametrize(
    "mode, training",
    [
        ("eager", True),
        ("eager", False),
        ("graph", True),
        pytest.param("dynamic", True, marks=pytest.mark.slow),
        ("xla", True),
    ],
)
def test_gradients_equal_those_of_the_plain_stack(mode, training):
    reversible, plain = _twins()
    pair, mask, upstream = _inputs()
    run = lambda *args: _gradients(reversible, args[:2], args[2], args[3:], training=training)
    if mode == "dynamic":
        unknown = tf.TensorSpec([None, None, WIDTH], tf.float32)
        signature = [unknown, unknown, tf.TensorSpec([None, None], tf.bool), unknown, unknown]
        run = tf.function(run, input_signature=signature)
    elif mode != "eager":
        run = tf.function(run, jit_compile=mode == "xla")
    actual = [np.asarray(x) for x in run(*pair, mask, *upstream)]
    _assert_close(actual, _gradients(plain, pair, mask, upstream, training=training))


def test_gradients_on_replicas_equal_those_of_the_plain_stack_on_one_device(mirrored_strategy):
    pair, mask, upstream = _inputs()
    one = _gradients(_twins(layers=1)[1], pair, mask, upstream)
    with mirrored_strategy.scope():
        stack = _twins(layers=1)[0]

    @tf.function
    def on_replicas():
        def replica():
            context = tf.distribute.get_replica_context()
            # Two replicas with the same rows, at the same index in the global batch.
            seed = tf.concat([SEED, [0]], axis=0)
            results = _gradients(stack, pair, mask, upstream, seed)
            return [*results[:2], *(context.all_reduce("mean", x) for x in results[2:])]

        return mirrored_strategy.run(replica)

    results = [mirrored_strategy.experimental_local_results(x)[1].numpy() for x in on_replicas()]
    _assert_close(results, [x.numpy() for x in one])


def test_bfloat16_branches_with_float32_streams():
    reversible, plain = _twins(dropout=0.1, dtype="mixed_bfloat16", layers=12)
    pair, mask, upstream = _inputs()
    results = [[x.numpy() for x in _gradients(stack, pair, mask, upstream)] for stack in (reversible, plain)]
    assert all(x.dtype == np.float32 for x in results[0])
    norm = lambda pairs: np.sqrt(sum(np.sum(np.square(x)) for x in pairs))
    difference = [a - b for a, b in zip(*(r[2:] for r in results), strict=True)]
    assert norm(difference) <= 0.01 * norm(results[1][2:])


def test_forward_equals_the_reference():
    stack = _twins()[0]
    (x1, x2), _, _ = _inputs()
    branches = [lambda x, b=b: b(tf.constant(x, tf.float32)).numpy() for b in stack.branches]
    expected = reversible_reference.forward(
        x1.numpy(), x2.numpy(), list(zip(branches[::2], branches[1::2], strict=True))
    )
    for actual, wanted in zip(stack([x1, x2]), expected, strict=True):
        np.testing.assert_allclose(actual, wanted, atol=1e-4)


def test_one_input_is_both_streams_and_the_output_their_mean():
    stack, (x, _), _ = _twins()[0], *_inputs()[:2]
    np.testing.assert_allclose(stack(x), np.mean(stack([x, x]), axis=0), atol=1e-6)


def test_one_input_may_give_both_streams_side_by_side():
    pair, mask, _ = _inputs()
    stacks = [ReversibleStack(_blocks(), combine_streams=combination) for combination in ("mean", "concatenate")]
    for stack in stacks:
        stack.build((None, None, WIDTH))
    stacks[1].set_weights(stacks[0].get_weights())
    first, second = stacks[1]([pair[0], pair[0]], mask=mask)
    np.testing.assert_array_equal(stacks[1](pair[0], mask=mask), np.concatenate([first, second], axis=-1))
    np.testing.assert_array_equal(stacks[0](pair[0], mask=mask), (first + second) / 2)
    assert stacks[1](keras.Input((None, WIDTH))).shape == (None, None, 2 * WIDTH)
    assert [x.shape for x in stacks[1]([keras.Input((7, WIDTH))] * 2)] == [(None, 7, WIDTH)] * 2
    assert stacks[1].compute_output_shape((2, 3, WIDTH)) == (2, 3, 2 * WIDTH)
    assert ReversibleStack.from_config(stacks[1].get_config()).combine_streams == "concatenate"
    with pytest.raises(ValueError, match=r"combine_streams must be one of \('mean', 'concatenate'\).*'sum'"):
        ReversibleStack(_blocks(), combine_streams="sum")


def test_a_training_call_without_a_seed_draws_one_and_the_next_call_another():
    stack, (x, _) = _twins()[0], _inputs()[0]
    assert np.abs(stack(x, training=True) - stack(x, training=True)).max() > 1e-2
    np.testing.assert_array_equal(stack(x, training=True, seed=SEED), stack(x, training=True, seed=SEED))


def test_frozen_branches_get_no_gradient_and_the_others_the_same():
    reversible, plain = _twins()
    for stack in (reversible, plain):
        stack.branches[2].trainable = False
    frozen = reversible.branches[2].variables
    assert not any(v is w for v in reversible.trainable_variables for w in frozen)
    data = _inputs()
    results = [[x.numpy() for x in _gradients(stack, *data)] for stack in (reversible, plain)]
    _assert_close(*results)


def test_values_come_from_a_stateless_scope_around_the_call():
    stack, (x, _) = _twins()[0], _inputs()[0]
    doubled = [2 * v.value for v in stack.trainable_variables]
    fixed = [v.value for v in stack.non_trainable_variables]
    expected = stack(x).numpy()
    output, _ = stack.stateless_call(doubled, fixed, x)
    assert np.abs(output - expected).max() > 0.1
    for variable, value in zip(stack.trainable_variables, doubled, strict=True):
        variable.assign(value)
    np.testing.assert_allclose(stack(x), output, atol=1e-5)


def _chunked():
    return ChunkedFeedForward(32, chunk_length=30)


@pytest.mark.parametrize(
    "branch",
    [
        _chunked,
        lambda: keras.Sequential([_chunked(), _chunked()]),
        lambda: ResidualBranch(keras.Sequential([_chunked(), _chunked()])),
        lambda: ResidualBranch(ReversibleStack([(ResidualBranch(_chunked()), ResidualBranch(_chunked()))])),
    ],
)
def test_chunks_inside_a_branch_get_their_own_gradient(branch):
    """The gradient of a branch's output is known beforehand, but only for the last layer of a branch."""
    pair, _, upstream = _inputs()
    results = []
    for reversible in (True, False):
        keras.utils.set_random_seed(1)
        stack = ReversibleStack([(branch(), branch())], reversible=reversible, seed=0)
        stack.build((None, None, WIDTH))
        results.append(_gradients(stack, pair, None, upstream))
    _assert_close(*results)


@pytest.mark.parametrize("layer", [keras.layers.BatchNormalization(), keras.layers.Dropout(0.5)])
def test_layers_that_change_state_are_refused(layer):
    stack = ReversibleStack([(keras.layers.Dense(WIDTH), layer)])
    with pytest.raises(ValueError, match="must not change state.*Received: .*which assigns"):
        stack(tf.ones([2, 5, WIDTH]), training=True)
    ReversibleStack([(keras.layers.Dense(WIDTH), layer)], reversible=False)(tf.ones([2, 5, WIDTH]), training=True)


@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_second_order_gradients_are_refused(mode):
    stack = ReversibleStack(_blocks(layers=1))
    x = _inputs()[0][0]
    stack.build(x.shape)

    def second():
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = tf.reduce_sum(stack(x) ** 2)
            first_order = inner.gradient(y, x)
        return outer.gradient(first_order, x)

    with pytest.raises(NotImplementedError, match="Second-order gradients.*reversible=False"):
        (second if mode == "eager" else tf.function(second))()


@pytest.mark.parametrize("blocks", [[], [keras.layers.Dense(4)], [(keras.layers.Dense(4),)]])
def test_blocks_that_are_no_pairs_are_refused(blocks):
    with pytest.raises(ValueError, match="blocks must .*pair.*Received"):
        ReversibleStack(blocks)


def test_branches_that_change_the_shape_are_refused():
    with pytest.raises(ValueError, match="must keep the shape.*Received"):
        ReversibleStack([(keras.layers.Dense(4), keras.layers.Dense(5))])(tf.ones([2, 5, 5]))
