"""Low-rank adapters in a reversible stack: gradients, layer scans, and no gradient of frozen kernels."""

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.layers import ChunkedFeedForward, LocalSelfAttention, LSHSelfAttention, ResidualBranch, ReversibleStack
from reformer_tf.layers.low_rank import LowRankAdapted
from reformer_tf.layers.reversible import repeated_blocks
from reformer_tf.ops.execution import budgets
from tests.testing import modes

# Sizes of kernels that no other tensor has.
WIDTH, HEADS, SIZE, INNER, LENGTH = 14, 3, 5, 22, 37
KERNELS = {(WIDTH, HEADS * SIZE), (HEADS * SIZE, WIDTH), (WIDTH, INNER), (INNER, WIDTH)}
SEED = tf.constant([3, 4])


def _block(seed, dtype=None, chunk_length=None, **options):
    kind = LSHSelfAttention if seed % 2 else LocalSelfAttention
    options = {"chunk_length": 8, "causal": True, "dropout": 0.2, "seed": seed, "dtype": dtype, **options}
    feed_forward = ChunkedFeedForward(INNER, chunk_length=chunk_length, dtype=dtype)
    layers = (kind(HEADS, SIZE, **options), feed_forward)
    return tuple(ResidualBranch(layer, 0.2, seed=100 * (i + 1) + seed, dtype=dtype) for i, layer in enumerate(layers))


def _stack(blocks, reversible=True, rank=2, only_adapters=True):
    """A stack whose weights are random, adapters included."""
    stack = ReversibleStack(blocks, reversible)
    stack.build((None, None, WIDTH))
    for layer in stack._flatten_layers():
        if rank and isinstance(layer, LowRankAdapted):
            layer.enable_lora(rank, lora_alpha=3.0)
            if only_adapters:
                layer.train_adapters_only()
    rng = np.random.default_rng(0)
    for variable in stack.weights:
        if variable.name != "rotations":
            variable.assign(0.4 * rng.normal(size=variable.shape))
    return stack


def _results(stack, x, mask=None):
    weights = [v.value for v in stack.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch([x, *weights])
        output = stack(x, mask=mask, seed=SEED, training=True)
        loss = tf.reduce_sum(tf.sin(output))
    return [output, *tape.gradient(loss, [x, *weights])]


def _data():
    rng = np.random.default_rng(1)
    return tf.constant(rng.normal(size=(2, LENGTH, WIDTH)), tf.float32), tf.constant(rng.random((2, LENGTH)) < 0.8)


def _steps(stack):
    options = {"mask": None, "segment_ids": None, "seed": None, "training": True}
    return [(len(run[0]) // 2, len(run)) for run in repeated_blocks.runs(stack.branches, options)]


@pytest.mark.parametrize(
    ("mode", "kind", "only_adapters"),
    [
        ("eager", "CPU", False),
        ("eager", "CPU", True),
        *(
            pytest.param(mode, "CPU", only, marks=pytest.mark.slow)
            for mode in ("graph", "xla")
            for only in (False, True)
        ),
        pytest.param("xla", "GPU", True, marks=pytest.mark.slow),
    ],
)
def test_gradients_are_those_of_the_plain_stack(mode, kind, only_adapters):
    """In a layer scan, with feed-forward chunks that are a loop."""
    made = [[_block(i, chunk_length=20) for i in range(4)] for _ in range(2)]
    stack, plain = (_stack(b, r, only_adapters=only_adapters) for b, r in zip(made, (True, False), strict=True))
    assert _steps(stack) == [(2, 2)]
    with budgets.target(kind):
        actual = modes.run(mode, lambda *data: _results(stack, *data), _data(), LENGTH)
    expected = _results(plain, *_data())
    largest = max(np.abs(g).max() for g in expected[1:])
    np.testing.assert_allclose(actual[0], expected[0], atol=1e-5 * np.abs(expected[0]).max())
    for a, b in zip(actual[1:], expected[1:], strict=True):
        assert np.abs(b).max() > 0
        np.testing.assert_allclose(a, b, atol=1e-5 * largest)


def test_gradients_in_half_precision():
    made = [[_block(2, dtype="mixed_bfloat16"), _block(4, dtype="mixed_bfloat16")] for _ in range(2)]
    actual, expected = (_results(_stack(b, r), *_data()) for b, r in zip(made, (True, False), strict=True))
    largest = max(np.abs(g).max() for g in expected[1:])
    for a, b in zip(actual[1:], expected[1:], strict=True):
        assert b.dtype == tf.float32
        np.testing.assert_allclose(a, b, atol=1e-2 * largest)


@pytest.mark.slow
def test_gradients_on_replicas_are_those_of_one_device(mirrored_strategy):
    def adapted():
        return _stack([_block(0), _block(1)])

    x, mask = _data()
    expected = _results(adapted(), x, mask)
    with mirrored_strategy.scope():
        stack = adapted()

    @tf.function
    def run():
        def replica():
            row = tf.distribute.get_replica_context().replica_id_in_sync_group
            seed = tf.concat([SEED, [row]], axis=0)
            with tf.GradientTape() as tape:
                output = stack(x[row : row + 1], mask=mask[row : row + 1], seed=seed, training=True)
                loss = tf.reduce_sum(tf.sin(output))
            return tape.gradient(loss, [v.value for v in stack.trainable_variables])

        return [mirrored_strategy.reduce("sum", g, axis=None) for g in mirrored_strategy.run(replica)]

    largest = max(np.abs(g).max() for g in expected[2:])
    for a, b in zip(run(), expected[2:], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * largest)


def _kernel_gradients(stack):
    """How many products of a training step have the shape of a kernel: forward there are none."""
    graph = tf.function(_results).get_concrete_function(stack, *_data()).graph.as_graph_def(add_shapes=True)
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    shapes = [node.attr["_output_shapes"].list.shape for node in nodes if node.op == "MatMul"]
    sizes = [tuple(d.size for d in shape.dim) for known in shapes for shape in known]
    assert len(sizes) > 8
    return sum(size in KERNELS for size in sizes)


@pytest.mark.parametrize(
    ("reversible", "chunk_length"),
    [(True, 20), *(pytest.param(*case, marks=pytest.mark.slow) for case in ((False, 20), (True, None), (False, None)))],
)
def test_no_gradient_of_a_frozen_kernel_is_computed(reversible, chunk_length):
    def count(rank):
        return _kernel_gradients(_stack([_block(1, chunk_length=chunk_length)], reversible, rank))

    assert count(rank=0) >= 5
    assert count(rank=2) == 0


def test_layers_with_other_adapters_are_not_scanned():
    def steps(change):
        stack = _stack([_block(1), _block(3)], rank=0)
        change(*(branch.layer for branch in stack.branches))
        return _steps(stack)

    def adapt(kernel, other, **options):
        return lambda f0, g0, f1, g1: (
            f0.enable_lora(2, kernels=[kernel]),
            f1.enable_lora(2, kernels=[other], **options),
        )

    assert steps(adapt("value", "value")) == [(1, 2)]
    assert steps(adapt("query_key", "value")) == [(1, 1), (1, 1)]
    assert steps(adapt("value", "value", lora_alpha=7.0)) == [(1, 1), (1, 1)]
    alphas = lambda f0, g0, f1, g1: (g0.enable_lora(2), g1.enable_lora(2, lora_alpha=7.0))
    assert steps(alphas) == [(1, 1), (1, 1)]


def test_blocks_whose_frozen_weights_differ_are_not_scanned():
    """Of equal shapes: the scale of one normalisation is frozen, and the shift of the other."""
    results = []
    for reversible in (True, False):
        stack = _stack([_block(0), _block(2)], reversible, rank=0)
        stack.branches[0].normalization.gamma.trainable = False
        stack.branches[2].normalization.beta.trainable = False
        results.append(_results(stack, *_data()))
    assert _steps(stack) == [(1, 1), (1, 1)]
    largest = max(np.abs(g).max() for g in results[1][1:])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * largest)
