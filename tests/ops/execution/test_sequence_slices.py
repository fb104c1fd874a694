"""Sequences in slices."""

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.ops.execution.sequence_slices import SequenceSlices


def _doubled(x, most):
    slices = SequenceSlices(*(tf.shape(x)[i] if x.shape[i] is None else x.shape[i] for i in range(2)), most)
    (array,) = slices.cut(x, tf.float64, 1)
    array = slices.copied(array)
    body = lambda index, state: [state[0].write(index, 2 * state[0].read(index))]
    return slices.join(slices.sweep(body, [array])[0])


@pytest.mark.parametrize("batch, length, most", [(1, 1, 1), (2, 7, 4), (3, 12, 9), (3, 12, 1), (2, 5, 100), (1, 10, 4)])
@pytest.mark.parametrize("mode", ["eager", "graph", "dynamic", "xla", "dynamic xla"])
def test_slices_are_joined_to_what_was_cut(mode, batch, length, most):
    x = tf.random.stateless_normal([batch, length, 3], [1, 2])
    call = lambda x: _doubled(x, most)
    if mode.startswith("dynamic"):
        unknown = tf.TensorSpec([None, None, 3])
        call = tf.function(call, input_signature=[unknown], jit_compile=mode == "dynamic xla")
    elif mode != "eager":
        call = tf.function(call, jit_compile=mode == "xla")
    result = call(x)
    assert result.dtype == tf.float64
    np.testing.assert_array_equal(result, 2 * x.numpy().astype(np.float64))


def test_copies_are_changed_by_themselves():
    x = tf.ones([1, 6, 2])
    slices = SequenceSlices(1, 6, 2)
    assert slices.count == 3
    first, second = slices.cut(x, x.dtype, 2)
    first = first.write(1, tf.zeros([1, 2, 2]))
    np.testing.assert_array_equal(slices.join(first)[0, :, 0], [1, 1, 0, 0, 1, 1])
    np.testing.assert_array_equal(slices.join(second), x)


def test_no_slice_is_larger_than_asked():
    for length in range(1, 40):
        for most in range(2, 20):
            slices = SequenceSlices(2, length, most)
            assert slices.size * 2 <= most
            assert (slices.count - 1) * slices.size < length <= slices.count * slices.size


def test_unknown_lengths_give_few_sizes():
    @tf.function(input_signature=[tf.TensorSpec([], tf.int32)])
    def cut(length):
        slices = SequenceSlices(2, length, 640)
        return slices.size, slices.count

    sizes = {}
    for length in range(3000):
        size, count = (int(x) for x in cut(length))
        assert (count - 1) * size < max(length, 1) <= max(count * size, 1)
        assert size <= 320
        sizes[size] = length
    # Small sizes are not rounded up, since nothing is compiled for them.
    assert len([size for size in sizes if size > 80]) == 24
    assert set(range(81)) <= set(sizes)
