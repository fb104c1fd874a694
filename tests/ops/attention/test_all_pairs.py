"""All pairs over the union of windows: the same pairs, gradients and dropout as window by window."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.ops.attention import all_pairs, ordering, windowed, windows
from reformer_tf.ops.attention.pair_dropout import PairDropout
from reformer_tf.ops.attention.patterns import WindowUnion
from reformer_tf.ops.execution import budgets, compiled_functions
from tests.testing import modes

ROWS, HEADS, SIZE, CHUNK, BUCKETS, ROUNDS = 2, 2, 4, 8, 3, 3
COUNT = ROWS * HEADS
MODES = ("eager", "graph", "xla", "dynamic", "dynamic xla")


def _data(length, dtype=tf.float32):
    rng = np.random.default_rng(length)
    vectors = [tf.constant(rng.normal(size=(ROWS, length, HEADS, SIZE)), dtype) for _ in range(4)]
    buckets = tf.constant(rng.integers(0, BUCKETS, (COUNT, ROUNDS, length)), tf.int32)
    valid = tf.constant(rng.random((COUNT, length)) < 0.8)
    segments = tf.constant(np.sort(rng.integers(0, 2, (COUNT, length)), axis=1), tf.int32)
    return [*vectors, buckets, valid, segments]


def _results(at_once, causal, exclude_self, masked, segmented, dropped, data):
    """Output and gradients, by all pairs at once or window by window."""
    query, key, value, upstream, buckets, valid, segments = data
    length = tf.shape(query)[1] if query.shape[1] is None else query.shape[1]
    valid = valid if masked else None
    window = windows.BucketWindow(CHUNK, causal, exclude_self)
    options = {
        "segments": segments if segmented else None,
        "dropout": PairDropout(0.3, tf.range(COUNT, dtype=tf.int32)) if dropped else None,
    }
    with tf.GradientTape() as tape:
        tape.watch([query, key, value])
        if at_once:
            sort_keys = [
                ordering.local_sort_keys(length, valid),
                ordering.hash_sort_keys(buckets, valid, BUCKETS, CHUNK),
            ]
            pattern = WindowUnion(window, masked)
            output = all_pairs.all_pairs_attention(query, key, value, sort_keys, pattern, **options)
        else:
            sorted_orders = [ordering.local_sorted_order(COUNT, length, valid)]
            sorted_orders += [ordering.hash_sorted_order(buckets[:, r], valid, BUCKETS, CHUNK) for r in range(ROUNDS)]
            output = windowed.windowed_attention(query, key, value, sorted_orders, window, **options)
    return [output, *tape.gradient(output, [query, key, value], output_gradients=upstream)]


@pytest.mark.parametrize("causal,exclude_self", itertools.product([True, False], repeat=2))
@pytest.mark.parametrize("masked,segmented,dropped", itertools.product([True, False], repeat=3))
@pytest.mark.parametrize("length", [1, 2, 29])
def test_equals_window_by_window(causal, exclude_self, masked, segmented, dropped, length):
    settings = (causal, exclude_self, masked, segmented, dropped, _data(length))
    modes.assert_close(_results(True, *settings), _results(False, *settings))


@pytest.mark.parametrize("mode", MODES[1:])
@pytest.mark.parametrize("causal", [True, False])
def test_graphs_and_xla_equal_eager(mode, causal):
    data = _data(29)
    expected = _results(True, causal, True, True, True, True, data)
    call = lambda *args: _results(True, causal, True, True, True, True, args)
    modes.assert_close(modes.run(mode, call, data, 29), expected)


@pytest.mark.parametrize("mode", ["eager", "graph", "dynamic xla"])
def test_blocks_of_queries_change_nothing(mode):
    data = _data(29)
    expected = _results(True, False, True, True, True, True, data)
    call = lambda *args: _results(True, False, True, True, True, True, args)
    with budgets.override(all_pairs_bytes=5 * 4 * COUNT * 29):
        modes.assert_close(modes.run(mode, call, data, 29), expected)


@pytest.mark.parametrize("dtype,bound", [(tf.float64, 1e-12), (tf.bfloat16, 0.03)])
def test_other_precisions(dtype, bound):
    data = _data(29, dtype)
    expected = _results(True, True, True, True, False, False, [tf.cast(x, tf.float64) for x in data[:4]] + data[4:])
    results = _results(True, True, True, True, False, False, data)
    assert all(x.dtype == dtype for x in results)
    modes.assert_close([tf.cast(x, tf.float64) for x in results], expected, bound)


@budgets.override(least_compiled_work=1)
def test_compiled_parts_change_nothing():
    data = _data(29)
    expected = _results(True, True, True, True, False, True, data)

    def call(*args):
        with compiled_functions.compiling_functions(True):
            return _results(True, True, True, True, False, True, args)

    function = tf.function(call).get_concrete_function(*data)
    assert "_XlaMustCompile" in str(function.graph.as_graph_def())
    modes.assert_close(function(*data), expected)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("masked,segmented,dropped", [(True, True, True), (False, False, False)])
def test_rounds_side_by_side_equal_one_after_the_other(causal, masked, segmented, dropped):
    settings = (causal, True, masked, segmented, dropped, _data(61))
    expected = _results(False, *settings)
    with budgets.override(ungrouped_bytes=0):
        modes.assert_close(_results(False, *settings), expected)


def test_what_is_cheaper_depends_on_length_and_rounds():
    window = windows.BucketWindow(32, False, True)
    assert all_pairs.is_cheaper(90, window, 5)
    assert not all_pairs.is_cheaper(4096, window, 5)
    assert not all_pairs.is_cheaper(1000, window, 1)
    unknown = tf.function(lambda length: all_pairs.is_cheaper(length, window, 5))
    assert unknown(tf.constant(90)) and not unknown(tf.constant(4096))
    assert not unknown(tf.constant(2**29))  # A multiple of it is beyond int32.
    with all_pairs.always(False):
        assert not all_pairs.is_cheaper(90, window, 5)
