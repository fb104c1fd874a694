"""Layer scans of a reversible stack: which blocks they cover, and that each step has its own weights and seeds."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.layers import ChunkedFeedForward, LocalSelfAttention, LSHSelfAttention, ResidualBranch, ReversibleStack
from reformer_tf.layers.reversible import repeated_blocks
from reformer_tf.ops import replay
from reformer_tf.ops.execution import budgets

WIDTH, LENGTH = 12, 37
SEED = tf.constant([3, 4])


def _lsh(seed, **options):
    options = {"chunk_length": 8, "num_hashes": 2, "num_buckets": 4, "causal": True, "dropout": 0.2, **options}
    return LSHSelfAttention(3, 4, seed=seed, **options)


def _local(seed, **options):
    return LocalSelfAttention(3, 4, **{"chunk_length": 8, "causal": True, "dropout": 0.2, "seed": seed, **options})


def _block(attention, seed, feed_forward=None, dropout=0.2):
    feed_forward = feed_forward or ChunkedFeedForward(20)
    return (
        ResidualBranch(attention, dropout, seed=1000 + seed),
        ResidualBranch(feed_forward, dropout, seed=2000 + seed),
    )


def _stack(blocks, reversible=True):
    stack = ReversibleStack(blocks, reversible)
    stack.build((None, None, WIDTH))
    rng = np.random.default_rng(0)
    for variable in stack.trainable_variables:
        variable.assign(0.4 * rng.normal(size=variable.shape))
    return stack


def _scan_steps(blocks):
    """The blocks of a step and the number of steps, for each layer scan of the stack."""
    stack = _stack(blocks)
    options = {"mask": None, "segment_ids": None, "seed": None, "training": True}
    return [(len(run[0]) // 2, len(run)) for run in repeated_blocks.runs(stack.branches, options)]


def _mixed():
    """A scan of two steps of two blocks, a user's block, and a scan of two steps of one block with other widths."""
    repeated = [_block((_lsh if i % 2 else _local)(i), i) for i in range(4)]
    users = (keras.layers.Dense(WIDTH, activation="tanh"), keras.layers.Dense(WIDTH))
    return [*repeated, users, *(_block(_lsh(i), i, ChunkedFeedForward(16)) for i in range(7, 9))]


def test_what_repeats_is_found():
    assert _scan_steps(_mixed()) == [(2, 2), (1, 1), (1, 2)]
    assert _scan_steps([_block(_lsh(i), i) for i in range(5)]) == [(1, 5)]
    assert _scan_steps([_block(_lsh(0), 0)]) == [(1, 1)]
    kinds = [_local, _lsh, _lsh]
    assert _scan_steps([_block(kinds[i % 3](i), i) for i in range(7)]) == [(3, 2), (1, 1)]


class _Own(LSHSelfAttention):
    """A user's layer, which may have any state."""


def _frozen(seed):
    block = _block(_lsh(seed), seed)
    block[1].trainable = False
    return block


@pytest.mark.parametrize(
    "second",
    [
        lambda: _block(_lsh(1, chunk_length=16), 1),
        lambda: _block(_lsh(1, num_hashes=3), 1),
        lambda: _block(_lsh(1, num_buckets=8), 1),
        lambda: _block(_lsh(1, dropout=0.1), 1),
        lambda: _block(_lsh(1, redraw_rotations=False), 1),
        lambda: _block(_lsh(1, rotary=True), 1),
        lambda: _block(_lsh(1, use_bias=True), 1),
        lambda: _block(_lsh(1, dtype="mixed_bfloat16"), 1),
        lambda: _block(_local(1), 1),
        lambda: _block(_Own(3, 4, 8, 2, 4, causal=True, dropout=0.2), 1),
        lambda: _block(_lsh(1), 1, dropout=0.1),
        lambda: _block(_lsh(1), 1, ChunkedFeedForward(24)),
        lambda: _block(_lsh(1), 1, ChunkedFeedForward(20, activation="relu")),
        lambda: _block(_lsh(1), 1, ChunkedFeedForward(20, activation=lambda x: x)),
        lambda: _block(_lsh(1), 1, ChunkedFeedForward(20, gated=True)),
        lambda: _block(_lsh(1), 1, ChunkedFeedForward(20, chunk_length=7)),
        lambda: _frozen(1),
    ],
)
def test_layers_that_differ_are_not_scanned(second):
    assert _scan_steps([_block(_lsh(0), 0), second()]) == [(1, 1), (1, 1)]


def _results(stack, x, mask, training=True):
    weights = [v.value for v in stack.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch([x, *weights])
        output = stack(x, mask=mask, seed=SEED, training=training)
        loss = tf.reduce_sum(tf.sin(output))
    return [output, *tape.gradient(loss, [x, *weights])]


def _assert_close(actual, expected):
    np.testing.assert_allclose(actual[0], expected[0], atol=1e-5 * np.abs(expected[0]).max())
    largest = max(np.abs(x).max() for x in expected[1:])
    for a, b in zip(actual[1:], expected[1:], strict=True):
        assert np.abs(b).max() > 0
        np.testing.assert_allclose(a, b, atol=1e-5 * largest)


def _data():
    rng = np.random.default_rng(1)
    return tf.constant(rng.normal(size=(2, LENGTH, WIDTH)), tf.float32), tf.constant(rng.random((2, LENGTH)) < 0.8)


@pytest.mark.parametrize(("kind", "steps"), [("CPU", [(1, 3)]), ("GPU", 3 * [(1, 1)]), ("TPU", [(1, 3)])])
def test_programs_for_gpus_have_no_scan(kind, steps):
    """Scans copy weights: little beside a CPU's work, and beside the time that a TPU's compiler takes for a layer."""
    stack, found = _stack([_block(_lsh(i), i) for i in range(3)]), []

    def trace(x):
        options = {"mask": None, "segment_ids": None, "seed": None, "training": True}
        found.extend((len(run[0]) // 2, len(run)) for run in repeated_blocks.runs(stack.branches, options))
        return x

    with budgets.target(kind):
        tf.function(trace, jit_compile=True).get_concrete_function(tf.TensorSpec([]))
    assert found == steps


@pytest.mark.parametrize(
    "mode, training",
    [
        ("eager", True),
        ("graph", True),
        ("eager", False),
        *(pytest.param(mode, True, marks=pytest.mark.slow) for mode in ("dynamic", "xla")),
        pytest.param("graph", False, marks=pytest.mark.slow),
    ],
)
def test_a_scan_equals_layer_after_layer(mode, training):
    expected = _results(_stack(_mixed(), reversible=False), *_data(), training)
    stack = _stack(_mixed())
    call = lambda x, mask: _results(stack, x, mask, training)
    if mode == "dynamic":
        signature = [tf.TensorSpec([None, None, WIDTH]), tf.TensorSpec([None, None], tf.bool)]
        call = tf.function(call, input_signature=signature)
    elif mode != "eager":
        call = tf.function(call, jit_compile=mode == "xla")
    _assert_close(call(*_data()), expected)


def test_frozen_layers_are_scanned_with_frozen_layers():
    def blocks():
        result = [_block(_lsh(i), i) for i in range(3)]
        for attention, _ in result:
            attention.trainable = False
        return result

    assert _scan_steps(blocks()) == [(1, 3)]
    stacks = [_stack(blocks(), reversible) for reversible in (True, False)]
    rng = np.random.default_rng(2)
    for variables in zip(*(s.non_trainable_weights for s in stacks), strict=True):
        value = 0.4 * rng.normal(size=variables[0].shape)
        for variable in variables:
            variable.assign(value)
    actual, expected = (_results(stack, *_data()) for stack in stacks)
    _assert_close(actual, expected)


def test_the_program_does_not_grow_with_depth():
    def nodes(layers):
        stack = _stack([_block(_lsh(i), i) for i in range(layers)])
        graph = tf.function(_results).get_concrete_function(stack, *_data()).graph.as_graph_def()
        return len(graph.node) + sum(len(f.node_def) for f in graph.library.function)

    few, many = nodes(4), nodes(12)
    # The rest puts a layer's weights in arrays, and reads their gradients.
    assert many < 1.5 * few


@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_buckets_are_recorded_and_replayed_in_the_order_of_layers(mode):
    def record(stack, x, mask):
        with replay.recording() as recorded:
            output = stack(x, mask=mask)
        return output, recorded

    def replayed(stack, recorded, x, mask):
        with replay.replaying(recorded):
            return stack(x, mask=mask)

    stack, layers = (_stack(_mixed(), reversible) for reversible in (True, False))
    wrap = tf.function if mode == "graph" else lambda call: call
    output, recorded = wrap(lambda *data: record(stack, *data))(*_data())
    plain, wanted = record(layers, *_data())
    np.testing.assert_allclose(output, plain, atol=1e-5 * np.abs(plain).max())
    assert len(recorded) == len(wanted) == 4
    for actual, expected in zip(recorded, wanted, strict=True):
        np.testing.assert_array_equal(actual, expected)
    rng = np.random.default_rng(3)
    other = [tf.constant(rng.integers(4, size=x.shape), tf.int32) for x in recorded]
    scanned, expected = wrap(lambda *data: replayed(stack, other, *data))(*_data()), replayed(layers, other, *_data())
    np.testing.assert_allclose(scanned, expected, atol=1e-5 * np.abs(expected).max())
    assert np.abs(scanned - output).max() > 1e-3
