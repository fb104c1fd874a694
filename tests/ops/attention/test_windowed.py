"""The attention core with several groups of blocks, which by default only long sequences have."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.ops.attention import all_pairs, ordering, windowed, windows
from reformer_tf.ops.attention.pair_dropout import PairDropout
from reformer_tf.ops.execution import budgets, compiled_functions
from tests.testing import modes

ROWS, LENGTH, HEADS, SIZE, CHUNK, BUCKETS = 2, 203, 3, 4, 8, 4
COUNT = ROWS * HEADS


def _group_bytes(blocks, shifts):
    """The bytes of groups of some blocks."""
    return blocks * 4 * COUNT * CHUNK * CHUNK * shifts


def _data():
    rng = np.random.default_rng(0)
    tensors = [tf.constant(rng.normal(size=(ROWS, LENGTH, HEADS, SIZE)), tf.float32) for _ in range(4)]
    buckets = tf.constant(rng.integers(0, BUCKETS, size=(2, COUNT, LENGTH)), tf.int32)
    return [*tensors, buckets, tf.constant(rng.random((COUNT, LENGTH)) < 0.8)]


def _dropout():
    return PairDropout(0.2, tf.range(COUNT, dtype=tf.int32))


def _windowed(causal, query, key, value, upstream, buckets, valid):
    sorted_orders = [ordering.local_sorted_order(COUNT, tf.shape(query)[1], valid)]
    sorted_orders += [ordering.hash_sorted_order(buckets[r], valid, BUCKETS, CHUNK) for r in range(2)]
    window = windows.BucketWindow(CHUNK, causal, True)
    with tf.GradientTape() as tape:
        tape.watch([query, key, value])
        output = windowed.windowed_attention(query, key, value, sorted_orders, window, dropout=_dropout())
    return [output, *tape.gradient(output, [query, key, value], output_gradients=upstream)]


def _full(causal, query, key, value, upstream, _, valid):
    with tf.GradientTape() as tape:
        tape.watch([query, key, value])
        output = all_pairs.full_attention(query, key, value, valid, causal, True, dropout=_dropout())
    return [output, *tape.gradient(output, [query, key, value], output_gradients=upstream)]


def _modes(*fast, mode, **axes):
    """Parametrizes a test with all modes and values of other axes: eager ones and those in `fast` run in CI."""
    combinations = list(itertools.product(mode, *axes.values()))
    assert set(fast) <= set(combinations)
    slow = [x for x in combinations if x[0] != "eager" and x not in fast]
    values = [pytest.param(*x, marks=[pytest.mark.slow] if x in slow else []) for x in combinations]
    return pytest.mark.parametrize(["mode", *axes], values)


@_modes(
    ("graph", False),
    ("dynamic", True),
    ("xla", True),
    mode=["eager", "graph", "dynamic", "xla"],
    causal=[True, False],
)
@pytest.mark.parametrize("blocks", [pytest.param(1, marks=pytest.mark.slow), 7])
def test_groups_of_blocks_change_nothing(mode, causal, blocks):
    data = _data()
    expected = _windowed(causal, *data)
    with budgets.override(ungrouped_bytes=0, group_bytes=_group_bytes(blocks, 2 if causal else 3)):
        modes.assert_close(modes.run(mode, lambda *args: _windowed(causal, *args), data, LENGTH), expected)


@_modes(
    ("graph", True, 50),
    ("dynamic", False, 1),
    ("xla", False, 50),
    ("dynamic xla", True, 1),
    mode=["eager", "graph", "dynamic", "xla", "dynamic xla"],
    causal=[True, False],
    rows=[1, 50],
)
def test_blocks_of_queries_change_nothing_in_full_attention(mode, causal, rows):
    data = _data()
    expected = _full(causal, *data)
    with budgets.override(all_pairs_bytes=rows * 4 * COUNT * LENGTH):
        modes.assert_close(modes.run(mode, lambda *args: _full(causal, *args), data, LENGTH), expected)


def _compiled(function):
    return "_XlaMustCompile" in str(function.graph.as_graph_def())


@pytest.mark.parametrize("lengths,causal", [("known", False), pytest.param("unknown", True, marks=pytest.mark.slow)])
def test_compiled_groups_change_nothing(lengths, causal):
    data = _data()
    expected = _windowed(causal, *data)
    length = None if lengths == "unknown" else LENGTH
    specs = [tf.TensorSpec([ROWS, length, HEADS, SIZE], tf.float32)] * 4
    specs += [tf.TensorSpec([2, COUNT, length], tf.int32), tf.TensorSpec([COUNT, length], tf.bool)]

    def call(*args):
        with compiled_functions.compiling_functions(True):
            return _windowed(causal, *args)

    with budgets.override(least_compiled_work=1, group_bytes=_group_bytes(7, 2 if causal else 3)):
        function = tf.function(call, input_signature=specs).get_concrete_function()
    assert _compiled(function)
    modes.assert_close(function(*data), expected)


@pytest.mark.parametrize("jit_compile", [pytest.param(False, marks=pytest.mark.slow), True])
@budgets.override(least_compiled_work=1)
def test_compiled_groups_on_replicas_and_inside_compiled_functions(mirrored_strategy, jit_compile):
    data = _data()
    expected = _windowed(True, *data)

    def call():
        with compiled_functions.compiling_functions(True):
            return _windowed(True, *data)

    replicated = tf.function(lambda: mirrored_strategy.run(tf.function(call, jit_compile=jit_compile)))
    local = [mirrored_strategy.experimental_local_results(x) for x in replicated()]
    for on_one_replica in zip(*local, strict=True):
        modes.assert_close(on_one_replica, expected)


def test_small_groups_and_what_does_not_train_are_not_compiled():
    data = _data()

    def call(allowed):
        with compiled_functions.compiling_functions(allowed):
            return _windowed(True, *data)

    assert not _compiled(tf.function(call).get_concrete_function(True))  # Too little work.
    assert not _compiled(tf.function(call).get_concrete_function(False))


@pytest.mark.parametrize(
    "window,compiles,causal",
    [
        ("bucket", False, True),
        ("bucket", False, False),
        ("bucket", True, True),
        ("chunk", False, True),
        ("chunk in a circle", False, False),
        *(pytest.param("chunk", *case, marks=pytest.mark.slow) for case in ((False, False), (True, True))),
        *(pytest.param("chunk in a circle", *case, marks=pytest.mark.slow) for case in ((False, True), (True, True))),
    ],
)
@budgets.override(least_compiled_work=1, ungrouped_bytes=0, group_bytes=_group_bytes(7, 2))
def test_keys_made_of_queries_equal_keys_passed(compiles, causal, window):
    query, _, value, upstream, buckets, valid = _data()
    kind = windows.BucketWindow(CHUNK, causal, True)
    if window != "bucket":
        kind = windows.ChunkWindow(CHUNK, causal, True, 1, 0 if causal else 1, window != "chunk", CHUNK)

    def call(made):
        sorted_orders = [ordering.hash_sorted_order(buckets[r], valid, BUCKETS, CHUNK) for r in range(2)]
        with compiled_functions.compiling_functions(compiles), tf.GradientTape() as tape:
            tape.watch([query, value])
            key = windowed.normalised if made else windowed.normalised(query)
            output = windowed.windowed_attention(query, key, value, sorted_orders, kind)
        return [output, *tape.gradient(output, [query, value], output_gradients=upstream)]

    call = tf.function(call) if compiles else call
    modes.assert_close(call(True), call(False))


@pytest.mark.parametrize(
    "lengths,window,made",
    [
        ("unknown", "bucket", True),
        ("known", "both sides", False),
        pytest.param("known", "bucket", False, marks=pytest.mark.slow),
        pytest.param("known", "chunk in a circle", True, marks=pytest.mark.slow),
    ],
)
def test_groups_split_at_products_in_half_precision_equal_full_precision(lengths, window, made):
    query, _, value, upstream, buckets, valid = _data()
    vectors = [tf.cast(x, tf.bfloat16) for x in (query, value, upstream)]
    causal = window == "bucket"
    kind = windows.BucketWindow(CHUNK, causal, True)
    if window == "chunk in a circle":
        kind = windows.ChunkWindow(CHUNK, True, True, 1, 0, True, CHUNK)
    segments = tf.cast(tf.range(LENGTH) > 90, tf.int32) * tf.ones([COUNT, 1], tf.int32)

    def call(query, value, upstream, segments):
        sorted_orders = [ordering.hash_sorted_order(buckets[r], valid, BUCKETS, CHUNK) for r in range(2)]
        with tf.GradientTape() as tape:
            tape.watch([query, value])
            key = windowed.normalised if made else windowed.normalised(query)
            output = windowed.windowed_attention(query, key, value, sorted_orders, kind, segments, _dropout())
        return [output, *tape.gradient(output, [query, value], output_gradients=upstream)]

    def split(*args):
        with compiled_functions.compiling_functions(True):
            return call(*args)

    expected = call(*(tf.cast(x, tf.float32) for x in vectors), segments)
    length = LENGTH if lengths == "known" else None
    specs = [tf.TensorSpec([ROWS, length, HEADS, SIZE], tf.bfloat16)] * 3 + [tf.TensorSpec([COUNT, length], tf.int32)]
    with budgets.override(least_compiled_work=1, group_bytes=_group_bytes(7, 2)):
        function = tf.function(split, input_signature=specs).get_concrete_function()
    assert _compiled(function)
    for result, wanted in zip(function(*vectors, segments), expected, strict=True):
        assert result.dtype == tf.bfloat16
        np.testing.assert_allclose(tf.cast(result, tf.float32), wanted, rtol=0.05, atol=0.02 * np.abs(wanted).max())


@pytest.mark.parametrize("causal", [True, False])
def test_windows_that_hold_all_tokens_equal_full_attention_with_dropout_on(causal):
    data = _data()
    sorted_orders = [ordering.local_sorted_order(COUNT, LENGTH, data[-1])]
    window = windows.BucketWindow(LENGTH, causal, True)
    output = windowed.windowed_attention(*data[:3], sorted_orders, window, dropout=_dropout())
    np.testing.assert_allclose(output, _full(causal, *data)[0], atol=1e-5)


def test_rounds_in_a_circle_of_unknown_length_equal_those_of_a_known_one():
    """Without autograph, as the trainer traces its step."""
    data, window = _data(), windows.ChunkWindow(CHUNK, False, True, 2, 1, True, CHUNK)

    def call(query, key, value, upstream, buckets, valid):
        sorted_orders = [ordering.hash_sorted_order(buckets[r], valid, BUCKETS, CHUNK) for r in range(2)]
        with tf.GradientTape() as tape:
            tape.watch([query, key, value])
            output = windowed.windowed_attention(query, key, value, sorted_orders, window)
        return [output, *tape.gradient(output, [query, key, value], output_gradients=upstream)]

    specs = [tf.TensorSpec([ROWS, None, HEADS, SIZE])] * 4
    specs += [tf.TensorSpec([2, COUNT, None], tf.int32), tf.TensorSpec([COUNT, None], tf.bool)]
    unknown = tf.function(call, input_signature=specs, autograph=False)
    modes.assert_close(unknown(*data), call(*data))
