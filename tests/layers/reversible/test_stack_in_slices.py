"""A reversible stack with many slices of the streams and one head at a time, against the plain stack."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.layers import ChunkedFeedForward, LSHSelfAttention, ResidualBranch
from reformer_tf.ops import replay
from reformer_tf.ops.execution import budgets
from tests.testing import twin_stacks

WIDTH, LENGTH = 12, 29
SEED = tf.constant([3, 4])


@pytest.fixture(autouse=True)
def small_slices():
    """Slices of 8 tokens of 2 rows, one head at a time, few blocks at a time."""
    with budgets.override(least_slice_tokens=16, heads_bytes=1, ungrouped_bytes=0, group_bytes=2**11):
        yield


def _branch(layer, dropout, seed):
    return ResidualBranch(layer, dropout, seed=seed)


def _blocks(dropout):
    attention = {"causal": True, "dropout": dropout, "use_bias": True}
    feed_forward = lambda: ChunkedFeedForward(20, chunk_length=16, gated=True)
    return [
        (
            _branch(LSHSelfAttention(2, 4, 8, 2, [2, 4], rotary=True, seed=1, **attention), dropout, 11),
            _branch(feed_forward(), dropout, 12),
        ),
        # A user's layer, which takes whole sequences.
        (keras.layers.Dense(WIDTH, activation="tanh"), _branch(feed_forward(), dropout, 13)),
    ]


def _twins(dropout, combine):
    return twin_stacks.make(lambda: _blocks(dropout), WIDTH, combine_streams=combine)


def _data():
    rng = np.random.default_rng(1)
    x = tf.constant(rng.normal(size=(2, LENGTH, WIDTH)), tf.float32)
    segments = tf.constant([[0] * 12 + [1] * 17, [0] * LENGTH], tf.int32)
    return x, tf.constant(rng.random((2, LENGTH)) < 0.8), segments


def _gradients(stack, x, mask, segments, training=True):
    weights = [v.value for v in stack.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch([x, *weights])
        output = stack(x, mask=mask, segment_ids=segments, seed=SEED, training=training)
        loss = tf.reduce_sum(tf.sin(output))
    return [output, *tape.gradient(loss, [x, *weights])]


_SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "mode, combine, dropout",
    [
        ("eager", "mean", 0.2),
        ("eager", "concatenate", 0.2),
        ("graph", "mean", 0.0),
        ("xla", "mean", 0.2),
        pytest.param("eager", "mean", 0.0, marks=_SLOW),
        *(pytest.param("graph", *case, marks=_SLOW) for case in (("mean", 0.2), ("concatenate", 0.2))),
        *(pytest.param("xla", *case, marks=_SLOW) for case in (("mean", 0.0), ("concatenate", 0.2))),
        *(pytest.param("dynamic", *case, marks=_SLOW) for case in (("mean", 0.2), ("mean", 0.0), ("concatenate", 0.2))),
    ],
)
def test_equals_the_plain_stack(mode, combine, dropout):
    sliced, plain = _twins(dropout, combine)
    data = _data()
    expected = _gradients(plain, *data)
    call = lambda *args: _gradients(sliced, *args)
    if mode == "dynamic":
        call = tf.function(call, input_signature=[tf.TensorSpec([None, None, *x.shape[2:]], x.dtype) for x in data])
    elif mode != "eager":
        call = tf.function(call, jit_compile=mode == "xla")
    for actual, wanted in zip(call(*data), expected, strict=True):
        np.testing.assert_allclose(actual, wanted, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("mode", ["eager", pytest.param("graph", marks=_SLOW)])
def test_without_training_equals_the_plain_stack(mode):
    sliced, plain = _twins(0.2, "mean")
    call = lambda *args: _gradients(sliced, *args, training=False)
    call = tf.function(call) if mode == "graph" else call
    for actual, wanted in zip(call(*_data()), _gradients(plain, *_data(), training=False), strict=True):
        np.testing.assert_allclose(actual, wanted, atol=1e-5 * np.abs(wanted).max())


@budgets.override(least_compiled_work=1)
def test_compiled_parts_change_nothing():
    sliced, plain = _twins(0.2, "mean")
    expected = _gradients(plain, *_data())
    function = tf.function(lambda *args: _gradients(sliced, *args)).get_concrete_function(*_data())
    assert "_XlaMustCompile" in str(function.graph.as_graph_def())
    for actual, wanted in zip(function(*_data()), expected, strict=True):
        np.testing.assert_allclose(actual, wanted, atol=1e-5 * np.abs(wanted).max())


def test_buckets_of_all_heads_are_recorded_and_replayed():
    sliced, plain = _twins(0.0, "mean")
    buckets = []
    for stack in (sliced, plain):
        with replay.recording() as recorded:
            output = stack(_data()[0])
        assert [tuple(x.shape) for x in recorded] == [(2, 2, 2, LENGTH)]
        buckets.append(recorded[0].numpy())
    np.testing.assert_array_equal(*buckets)
    with replay.replaying([tf.zeros_like(buckets[0])]):
        assert np.abs(sliced(_data()[0]) - output).max() > 1e-3


def test_a_gradient_can_be_asked_for_twice():
    stack = _twins(0.2, "mean")[0]
    x, mask, _ = _data()
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        output = stack(x, mask=mask, seed=SEED, training=True)
    np.testing.assert_array_equal(*(tape.gradient(output, x) for _ in range(2)))
