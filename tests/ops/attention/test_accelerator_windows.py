"""The attention core as accelerators run it, on a CPU, against the core as a CPU runs it."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compiler.xla.service import hlo_pb2

from reformer_tf.ops.attention import ordering, windowed, windows
from reformer_tf.ops.attention.pair_dropout import PairDropout
from reformer_tf.ops.attention.rounds import Rounds
from reformer_tf.ops.execution import budgets
from tests.testing import modes

ROWS, LENGTH, HEADS, SIZE, CHUNK, BUCKETS, ROUNDS = 2, 61, 2, 4, 8, 4, 2
COUNT = ROWS * HEADS

WINDOWS = {
    "causal": windows.BucketWindow(CHUNK, True, True),
    "both directions": windows.BucketWindow(CHUNK, False, False),
    "one entry": windows.BucketWindow(1, True, False),
    "chunks in a circle": windows.ChunkWindow(CHUNK, True, True, 1, 1, True, CHUNK),
}
# All rounds side by side; one round after another, two groups of blocks each.
MEMORY = {"much": 2**30, "little": 16 * 4 * COUNT * CHUNK * CHUNK * 3 * 4}


def _data(dtype):
    rng = np.random.default_rng(0)
    tensors = [tf.cast(rng.normal(size=(ROWS, LENGTH, HEADS, SIZE)), dtype) for _ in range(4)]
    buckets = tf.constant(rng.integers(0, BUCKETS, size=(COUNT, ROUNDS, LENGTH)), tf.int32)
    segments = tf.constant(np.repeat(np.sort(rng.integers(0, 2, size=(ROWS, LENGTH))), HEADS, axis=0), tf.int32)
    return [*tensors, buckets, tf.constant(rng.random((COUNT, LENGTH)) < 0.8), segments]


def _attention(window, made_keys, query, key, value, upstream, buckets, valid, segments):
    # A circle has no masked tokens and no local round.
    valid = None if window.wrap else valid
    sorted_orders = ordering.hash_sorted_orders(buckets, valid, BUCKETS, CHUNK)
    if not window.wrap:
        sorted_orders = [ordering.local_sorted_order(COUNT, LENGTH, valid), *sorted_orders]
    dropout = PairDropout(0.2, tf.range(COUNT, dtype=tf.int32))
    inputs = [query, value] if made_keys else [query, key, value]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        keys = windowed.normalised if made_keys else key
        output = windowed.windowed_attention(query, keys, value, sorted_orders, window, segments, dropout)
    return [output, *tape.gradient(output, inputs, output_gradients=upstream)]


_IN_CI = {("causal", "little", "xla"), ("chunks in a circle", "much", "xla")}


@pytest.mark.parametrize(
    ("window", "memory", "mode"),
    [
        pytest.param(*case, marks=() if case[2] == "eager" or case in _IN_CI else pytest.mark.slow)
        for case in itertools.product(WINDOWS, MEMORY, ["eager", "graph", "xla"])
    ],
)
def test_results_are_those_of_a_cpu(window, memory, mode):
    data, made_keys = _data(tf.float32), memory == "much"
    call = lambda *args: _attention(WINDOWS[window], made_keys, *args)
    expected = call(*data)
    kind = "TPU" if memory == "much" else "GPU"
    with budgets.target(kind, memory_bytes=MEMORY[memory]):
        modes.assert_close(modes.run(mode, call, data, LENGTH), expected)


@pytest.mark.parametrize("mode", ["eager", pytest.param("xla", marks=pytest.mark.slow)])
def test_half_precision(mode):
    call = lambda *args: _attention(WINDOWS["causal"], True, *args)
    exact, expected, data = call(*_data(tf.float32)), call(*_data(tf.bfloat16)), _data(tf.bfloat16)
    with budgets.target("GPU"):
        found = modes.run(mode, call, data, LENGTH)
    for x, y, z in zip(found, expected, exact, strict=True):
        assert x.dtype == tf.bfloat16
        error, usual = (np.linalg.norm(np.asarray(tf.cast(v, tf.float32) - z)) for v in (x, y))
        assert error < 1.5 * usual


@pytest.mark.parametrize("mode", ["eager", "xla"])
@pytest.mark.parametrize("kind", ["CPU", "GPU"])
def test_outputs_of_rounds_are_rounded_in_programs_only(kind, mode):
    found = []

    def prepare(query):
        sorted_orders = [ordering.local_sorted_order(COUNT, LENGTH, None)]
        found.append(Rounds.prepared(query, None, sorted_orders, WINDOWS["causal"], None, None).output_dtype)
        return query

    with budgets.target(kind):
        modes.run(mode, prepare, [tf.zeros([ROWS, LENGTH, HEADS, SIZE], tf.bfloat16)], LENGTH)
    assert found == [tf.bfloat16 if (kind, mode) == ("GPU", "xla") else tf.float32]


@pytest.mark.parametrize(("kind", "size", "groups"), [("GPU", 16, 1), ("GPU", 128, 4), ("CPU", 128, 1)])
def test_groups_are_as_small_as_the_largest_tensor_asks_for(kind, size, groups):
    """Joined keys and values of wide heads take more memory than the logits of short chunks."""
    length, window = 256, windows.BucketWindow(16, True, True)
    logits = 4 * length * 2 * 16
    query = tf.zeros([1, length, 1, size], tf.bfloat16)
    with budgets.target(kind), budgets.override(ungrouped_bytes=logits, group_bytes=logits):
        rounds = Rounds.prepared(query, None, [ordering.local_sorted_order(1, length, None)], window, None, None)
    assert rounds.blocks.groups == groups


@pytest.mark.parametrize(("kind", "written"), [("GPU", 0), ("TPU", 1)])
def test_a_tpu_merges_rounds_once_and_sorts_single_numbers(kind, written):
    rng = np.random.default_rng(0)
    vectors = [tf.TensorSpec([ROWS, LENGTH, HEADS, SIZE])] * 3
    buckets = tf.constant(rng.integers(0, BUCKETS, size=(COUNT, ROUNDS, LENGTH)), tf.int32)

    @tf.function(jit_compile=True)
    def attend(query, key, value):
        sorted_orders = ordering.hash_sorted_orders(buckets, None, BUCKETS, CHUNK)
        return windowed.windowed_attention(query, key, value, sorted_orders, WINDOWS["causal"])

    with budgets.target(kind):
        lowered = attend.experimental_get_compiler_ir(*vectors)(stage="hlo_serialized", platform_name="GPU")
    module = hlo_pb2.HloModuleProto.FromString(lowered)
    instructions = [x for computation in module.computations for x in computation.instructions]
    rows = [ROWS * LENGTH * HEADS, SIZE]
    barriers = [x.shape for x in instructions if x.opcode == "opt-barrier"]
    # A barrier of one tensor may have a tuple of one as its shape.
    written_rows = [x for x in barriers if rows in [list(y.dimensions) for y in (x, *x.tuple_shapes)]]
    assert len(written_rows) == written
    sorts = [x for x in instructions if x.opcode == "sort"]
    assert sorts and all(len(x.operand_ids) == 1 for x in sorts)
