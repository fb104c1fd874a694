"""Sizes that stay integers, and reshapes whose gradient does not need the reshaped tensor."""

import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.ops import shapes


@pytest.mark.parametrize("unknown", [False, True])
def test_the_gradient_of_a_product_needs_no_product(unknown):
    def gradient(x, kernel, upstream):
        rows, columns = shapes.sizes(x)[0], shapes.sizes(kernel)[1]
        with tf.GradientTape() as tape:
            tape.watch(x)
            result = shapes.reshaped(tf.matmul(x, kernel), [rows, columns], [rows, 2, columns // 2])
        return tape.gradient(result, x, output_gradients=upstream)

    x, kernel, upstream = (np.random.default_rng(0).normal(size=size) for size in ((6, 3), (3, 4), (6, 2, 2)))
    rows, columns = (None, None) if unknown else (6, 4)
    specs = [tf.TensorSpec(size, tf.float64) for size in ((rows, 3), (3, columns), (rows, 2, None))]
    function = tf.function(gradient, input_signature=specs).get_concrete_function()
    np.testing.assert_allclose(function(x, kernel, upstream), upstream.reshape(6, 4) @ kernel.T)
    output = function.outputs[0].op.name
    needed = tf.compat.v1.graph_util.extract_sub_graph(function.graph.as_graph_def(), [output])
    assert sum(node.op == "MatMul" for node in needed.node) == 1


def test_integers_stay_integers_and_tensors_become_tensors():
    two, three = tf.constant(2), tf.constant(3)
    for unknown in (False, True):
        x, y = (two, three) if unknown else (2, 3)
        found = [shapes.minimum(x, y), shapes.minimum(y, 2), shapes.maximum(x, 3), shapes.where(x == 2, x, y)]
        assert [int(size) for size in found] == [2, 2, 3, 2]
        assert all(tf.is_tensor(size) == unknown for size in found)
        assert shapes.static(x) == (None if unknown else 2)
    assert shapes.where(True, two, 3) is two
    assert shapes.is_one(1) and not shapes.is_one(2) and not shapes.is_one(tf.constant(1))


def test_a_part_of_an_unknown_size_is_cut_without_autograph():
    specs = [tf.TensorSpec([None, 3])]
    cut = tf.function(lambda x: shapes.cut(x, 1, 2), input_signature=specs, autograph=False)
    x = np.arange(12.0, dtype=np.float32).reshape(4, 3)
    np.testing.assert_array_equal(cut(x), x[1:3])
    assert cut.get_concrete_function().output_shapes == [2, 3]
