"""Ranges that are no constants of a program."""

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.ops.execution import budgets, index_ranges


@pytest.mark.parametrize("jit_compile", [True, False])
@pytest.mark.parametrize("kind", ["CPU", "GPU"])
def test_they_are_ranges(kind, jit_compile):
    for length in (0, 1, 2, 3, 16, 17, 30):
        call = tf.function(lambda: index_ranges.below(length), jit_compile=jit_compile)  # noqa: B023
        with budgets.target(kind):
            found = call()
        assert found.dtype == tf.int32
        np.testing.assert_array_equal(found, np.arange(length))
    np.testing.assert_array_equal(index_ranges.below(tf.constant(7)), np.arange(7))


@pytest.mark.parametrize("kind", ["CPU", "GPU"])
def test_tensors_of_one_number(kind):
    with budgets.target(kind):
        found = tf.function(lambda: index_ranges.filled([2, 3], -1), jit_compile=True)()
    np.testing.assert_array_equal(found, np.full([2, 3], -1))
