"""Masked tokens, neighbours in the batch and the order of rows change no output of a real token."""

import numpy as np
import pytest
import tensorflow as tf

from tests.conformance import cases, comparing

UNCHANGED = [case for case in cases.ALL if case.ignores_padding]


# The number of tokens that are added, and their content.
PADDINGS = ((1, 0.0), (40, 1e30), (40, np.nan), (3, np.inf))
SOME = [case for case in UNCHANGED if case.setting in ("default", "chunks")]


@pytest.mark.parametrize(
    ("case", "length", "training", "paddings"),
    [
        *((case, length, False, PADDINGS[::2]) for case in UNCHANGED for length in (1, 65)),
        *(
            (case, length, training, PADDINGS[1::2] if training else PADDINGS[::2])
            for case in SOME
            for length, training in ((2, True), (63, False), (64, True), (203, False), (203, True))
        ),
        *(
            pytest.param(case, length, training, PADDINGS, marks=pytest.mark.slow)
            for case in SOME
            for length in (2, 63, 64, 300)
            for training in (False, True)
        ),
    ],
)
def test_trailing_padding_changes_nothing(case, length, training, paddings):
    """Neither the amount of padding nor its content matters, in training with dropout as well."""
    layer, x = cases.make_layer(case, dropout=0.2), cases.inputs(2, length)
    kwargs = {"training": training, "seed": tf.constant([1, 2])}
    y, buckets = cases.call_and_buckets(layer, x, **kwargs)
    for amount, content in paddings:
        padded = np.pad(x, [[0, 0], [0, amount], [0, 0]], constant_values=content)
        mask = np.arange(length + amount) < length * np.ones([2, 1])
        _, others = cases.call_and_buckets(layer, padded, mask=mask, **kwargs)
        if not training:  # The rotations of training calls are not the layer's own; their buckets need no tracing.
            comparing.assert_same_buckets(layer, x, buckets, others)
        if buckets is not None:
            others = np.concatenate([buckets, others[..., length:]], axis=-1)
        z = comparing.call(layer, padded, others, mask=mask, **kwargs)
        comparing.assert_same(z[:, :length], y)
        assert np.isfinite(z).all()


@cases.each(UNCHANGED)
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
    comparing.assert_same(dx_padded[:, :65], dx)
    np.testing.assert_array_equal(dx_padded[:, 65:], 0.0)
    for one, other in zip(actual, expected, strict=True):
        comparing.assert_same(one, other)


@cases.each([case for case in cases.ALL if case.closes_gaps])
def test_masked_tokens_in_the_middle_are_as_if_they_were_not_there(case):
    layer, x = cases.make_layer(case), cases.inputs(1, 130)
    mask = np.random.default_rng(0).random([1, 130]) < 0.7
    x[~mask] = np.nan
    y, buckets = cases.call_and_buckets(layer, x, mask=mask)
    without = None if buckets is None else buckets[..., mask[0]]
    comparing.assert_same(y[:, mask[0]], comparing.call(layer, x[:, mask[0]], without))
    empty = np.zeros(cases.WIDTH) if not layer.use_bias else np.asarray(layer.trainable_variables[-1])
    comparing.assert_same(y[:, ~mask[0]], np.broadcast_to(empty, [1, np.sum(~mask), cases.WIDTH]))


@cases.each(cases.ALL)
def test_a_batch_row_does_not_depend_on_its_neighbours_or_its_index(case):
    layer, x, mask = cases.make_layer(case), cases.inputs(4, 100), cases.masks(4, 100)
    y, buckets = cases.call_and_buckets(layer, x, mask=mask)
    permutation = [2, 0, 3, 1]
    shuffled = None if buckets is None else buckets[permutation]
    comparing.assert_same(comparing.call(layer, x[permutation], shuffled, mask=mask[permutation]), y[permutation])
    for row in range(4):
        row_buckets = None if buckets is None else buckets[[row]]
        comparing.assert_same(comparing.call(layer, x[[row]], row_buckets, mask=mask[[row]]), y[[row]])
    x[1:] = np.nan
    mask[1:] = False
    comparing.assert_same(comparing.call(layer, x, buckets, mask=mask)[:1], y[:1])


@cases.each(cases.ALL)
def test_a_row_without_a_real_token_gives_nothing(case):
    layer, x = cases.make_layer(case), cases.inputs(2, 33)
    y = layer(x, mask=np.zeros([2, 33], bool)).numpy()
    empty = np.zeros(cases.WIDTH) if not layer.use_bias else np.asarray(layer.trainable_variables[-1])
    comparing.assert_same(y, np.broadcast_to(empty, y.shape))
