"""A reversible stack with blocks of three branches and cross-attention, against the plain stack."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.layers import (
    ChunkedFeedForward,
    FullCrossAttention,
    FullSelfAttention,
    LocalSelfAttention,
    LSHSelfAttention,
    PerformerCrossAttention,
    ResidualBranch,
    ReversibleStack,
)
from reformer_tf.ops.execution import budgets
from tests.testing import modes, reversible_reference

WIDTH, CONTEXT_WIDTH, LENGTH, CONTEXT_LENGTH = 12, 10, 13, 17
SEED = tf.constant([3, 4])


class _Pooled(keras.layers.Layer):
    """A user's layer: adds a projection of the mean of the context."""

    def build(self, inputs_shape, context_shape):
        self.kernel = self.add_weight((context_shape[-1], inputs_shape[-1]))

    def call(self, inputs, context):
        return tf.tanh(inputs) + (tf.reduce_mean(context, axis=1) @ self.kernel)[:, None]


def _blocks(layers, dropout, cross, **options):
    make = {
        "full": lambda i: FullCrossAttention(2, 4, dropout, use_bias=True, seed=i, **options),
        "performer": lambda i: PerformerCrossAttention(2, 4, 8, redraw_every=1, seed=i, **options),
        "own": lambda i: _Pooled(),
    }[cross]

    def self_attention(i):
        if i % 3 == 0:
            return LSHSelfAttention(2, 4, 8, 2, [2, 4], causal=True, dropout=dropout, seed=20 + i, **options)
        kind = LocalSelfAttention if i % 3 == 1 else FullSelfAttention
        return kind(2, 4, causal=True, dropout=dropout, seed=20 + i, **options)

    def block(i):
        branches = (self_attention(i), make(i), ChunkedFeedForward(20, chunk_length=16, **options))
        return [ResidualBranch(x, dropout, seed=50 + 3 * i + j, **options) for j, x in enumerate(branches)]

    return [block(i) for i in range(layers)]


def _twins(layers=3, dropout=0.2, cross="full", equal=False, **options):
    """A reversible and a plain stack with the same random weights; of equal blocks, which a layer scan runs, or not."""
    stacks = []
    for reversible in (True, False):
        blocks = _blocks(layers, dropout, cross, **options)
        if equal:
            blocks = [_blocks(1, dropout, cross, **options)[0] for _ in range(layers)]
        stacks.append(ReversibleStack(blocks, reversible=reversible))
        stacks[-1].build((None, None, WIDTH), (None, None, CONTEXT_WIDTH))
    rng = np.random.default_rng(0)
    for first, second in zip(*(stack.trainable_variables for stack in stacks), strict=True):
        value = 0.4 * rng.normal(size=first.shape)
        first.assign(value)
        second.assign(value)
    return stacks


def _data():
    rng = np.random.default_rng(1)
    x, context = (
        tf.constant(rng.normal(size=(2, *shape)), tf.float32)
        for shape in ((LENGTH, WIDTH), (CONTEXT_LENGTH, CONTEXT_WIDTH))
    )
    mask, context_mask = (tf.constant(rng.random((2, length)) < 0.8) for length in (LENGTH, CONTEXT_LENGTH))
    return x, context, mask, context_mask


def _gradients(stack, x, context, mask, context_mask, training=True):
    weights = [v.value for v in stack.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch([x, context, *weights])
        options = {"context": context, "context_mask": context_mask, "seed": SEED, "training": training}
        output = stack(x, mask=mask, **options)
        loss = tf.reduce_sum(tf.sin(tf.cast(output, tf.float32)))
    return [output, *tape.gradient(loss, [x, context, *weights])]


def _assert_close(actual, expected, bound=1e-5):
    np.testing.assert_allclose(actual[0], expected[0], atol=bound * np.abs(expected[0]).max())
    largest = max(np.abs(b).max() for b in expected[1:])
    for a, b in zip(actual[1:], expected[1:], strict=True):
        assert np.abs(np.asarray(a) - np.asarray(b)).max() <= bound * largest
        assert np.abs(b).max() > 0


@pytest.mark.parametrize(
    "cross, mode",
    [
        ("full", "eager"),
        ("performer", "eager"),
        ("own", "eager"),
        ("full", "graph"),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                ("performer", "graph"),
                ("own", "graph"),
                ("full", "xla"),
                ("performer", "xla"),
                ("own", "xla"),
            )
        ),
    ],
)
def test_gradients_equal_those_of_the_plain_stack(cross, mode):
    """Three blocks of three branches: the streams are added to in turn, across blocks."""
    reversible, plain = _twins(cross=cross)
    data = _data()
    actual = modes.run(mode, lambda *args: _gradients(reversible, *args), data, LENGTH)
    _assert_close(actual, _gradients(plain, *data))


@pytest.mark.slow
@pytest.mark.parametrize("mode, layers", [("xla", 4), ("graph", 4), ("dynamic", 4), ("graph", 5)])
def test_equal_blocks_in_a_layer_scan_and_in_slices(mode, layers):
    """Slices of the streams and of the context, one head at a time; a fifth block is left over by a scan of pairs."""
    reversible, plain = _twins(layers, equal=True)
    data = _data()
    with budgets.override(least_slice_tokens=16, heads_bytes=1, ungrouped_bytes=0, group_bytes=2**11):
        actual = modes.run(mode, lambda *args: _gradients(reversible, *args), data, LENGTH)
    _assert_close(actual, _gradients(plain, *data))


def test_gradients_without_training_and_without_masks():
    reversible, plain = _twins(layers=1)
    x, context, *_ = _data()
    results = [_gradients(stack, x, context, None, None, training=False) for stack in (reversible, plain)]
    _assert_close(*results)


def test_gradients_on_replicas_equal_those_on_one_device(mirrored_strategy):
    data = _data()
    one = _gradients(_twins(layers=1)[1], *data)
    with mirrored_strategy.scope():
        stack = _twins(layers=1)[0]

    @tf.function
    def on_replicas():
        return mirrored_strategy.run(lambda: _gradients(stack, *data))

    # Each replica has the same rows, but the first of them is at another index of the global batch.
    results = [mirrored_strategy.experimental_local_results(x)[0].numpy() for x in on_replicas()]
    _assert_close(results, [x.numpy() for x in one])


@pytest.mark.slow
def test_bfloat16_branches_with_float32_streams():
    """The rule of half precision: 1 % of the gradient's norm at 12 layers."""
    reversible, plain = _twins(12, 0.1, dtype="mixed_bfloat16")
    results = [[np.asarray(x, np.float32) for x in _gradients(stack, *_data())] for stack in (reversible, plain)]
    norm = lambda parts: np.sqrt(sum(np.sum(np.square(x)) for x in parts))
    assert norm([a - b for a, b in zip(*(r[1:] for r in results), strict=True)]) <= 0.01 * norm(results[1][1:])
    # By itself, too: it is a sum over all layers.
    assert norm([results[0][2] - results[1][2]]) <= 0.02 * norm([results[1][2]])


def test_the_gradient_of_the_context_is_summed_in_float32():
    """Of a context in half precision it has the error of one rounding, not those of a sum over 12 equal parts."""
    blocks = [(FullCrossAttention(1, 2, seed=1), ChunkedFeedForward(4)) for _ in range(12)]
    stack = ReversibleStack([[ResidualBranch(layer) for layer in block] for block in blocks])
    stack.build((None, None, WIDTH), (None, None, CONTEXT_WIDTH))
    for variable in stack.trainable_variables:
        variable.assign(tf.fill(variable.shape, 0.05))
    x, context, *_ = _data()
    half = tf.cast(context, tf.bfloat16)
    found, expected = (_gradients(stack, x, tf.cast(half, dtype), None, None)[2] for dtype in ("bfloat16", "float32"))
    assert found.dtype == tf.bfloat16
    np.testing.assert_allclose(tf.cast(found, tf.float32), expected, rtol=2**-8, atol=1e-8)


def test_forward_equals_the_reference_and_streams_are_added_to_in_turn():
    stack = _twins(layers=2, dropout=0.0)[0]
    x, context, _, context_mask = _data()

    def branch(layer):
        takes = {"context": context, "context_mask": context_mask}
        return lambda x: layer(tf.constant(x, tf.float32), **takes).numpy()

    branches = [branch(layer) for layer in stack.branches]
    pairs = list(zip(branches[::2], branches[1::2], strict=True))
    expected = reversible_reference.forward(x.numpy(), x.numpy(), pairs)
    for actual, wanted in zip(stack([x, x], context=context, context_mask=context_mask), expected, strict=True):
        np.testing.assert_allclose(actual, wanted, atol=1e-4)


def test_configs_hold_blocks_of_any_size():
    stack = _twins(layers=2)[0]
    copy = ReversibleStack.from_config(stack.get_config())
    assert copy.get_config() == stack.get_config() and copy.block_sizes == (3, 3)
    x, context, *_ = _data()
    copy(x, context=context)
    copy.set_weights(stack.get_weights())
    np.testing.assert_array_equal(copy(x, context=context), stack(x, context=context))


def test_what_cannot_be_attended_to_is_refused():
    stack, plain = _twins(layers=1)
    x, context, mask, _ = _data()
    for one in (stack, plain):
        with pytest.raises(
            ValueError, match="context must be passed where a branch attends to it.*None for full_cross"
        ):
            one(x)
        with pytest.raises(ValueError, match="context must be"):
            one(x, context=context[0])
        with pytest.raises(ValueError, match="context_mask must be"):
            one(x, context=context, context_mask=mask)
    with pytest.raises(ValueError, match="context must be passed where a branch attends to it"):
        ReversibleStack(_blocks(1, 0.0, "full")).build((None, None, WIDTH))
    feed_forward = lambda: ResidualBranch(ChunkedFeedForward(4))
    with pytest.raises(ValueError, match="context_mask must be left out without a context"):
        ReversibleStack([(feed_forward(), feed_forward())])(x, context_mask=mask)
    with pytest.raises(ValueError, match="blocks must be pairs .*or longer"):
        ReversibleStack([_blocks(1, 0.0, "full")[0][:1]])
