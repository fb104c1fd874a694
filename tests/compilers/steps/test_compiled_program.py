"""Memory and operations read from compiled programs."""

import tensorflow as tf

from compilers.steps import compiled_program


def _read(function, *shapes):
    compiled = tf.function(function, jit_compile=True, autograph=False)
    return compiled_program.read(compiled, *(tf.TensorSpec(shape, tf.float32) for shape in shapes))


def test_matrix_products_and_exponentials():
    needs = _read(lambda x, w: tf.exp(tf.matmul(x, w)), [32, 48], [48, 64])
    assert needs["matmul_flops"] == 2 * 32 * 48 * 64
    assert needs["transcendentals"] == 32 * 64
    product = 4 * 32 * 64
    # The product is written, then read to compute the result.
    assert needs["bytes_accessed"] == 4 * (32 * 48 + 48 * 64) + 3 * product
    assert needs["argument_bytes"] == 4 * (32 * 48 + 48 * 64)
    assert needs["output_bytes"] == product
    assert needs["unknown_loops"] == 0


def test_a_loop_counts_as_often_as_it_iterates():
    def loop(x, w):
        return tf.while_loop(
            lambda i, x: i < 7,
            lambda i, x: (i + 1, tf.matmul(x, w)),
            [tf.constant(0), x],
            maximum_iterations=7,
        )[1]

    needs = _read(loop, [16, 24], [24, 24])
    assert needs["matmul_flops"] == 7 * 2 * 16 * 24 * 24
    assert needs["unknown_loops"] == 0


def test_a_loop_with_an_end_of_its_own_counts_once_and_is_named():
    def loop(x, w):
        return tf.while_loop(lambda x: tf.reduce_sum(x) < 5.0, lambda x: tf.matmul(x, w), [x])[0]

    needs = _read(loop, [16, 24], [24, 24])
    assert needs["matmul_flops"] == 2 * 16 * 24 * 24
    assert needs["unknown_loops"] == 1


def test_a_slice_in_a_loop_moves_its_own_bytes():
    def loop(x):
        def body(i, total):
            return i + 1, total + tf.slice(x, [i, 0], [1, 1000])

        return tf.while_loop(lambda i, _: i < 100, body, [tf.constant(0), tf.zeros([1, 1000])], maximum_iterations=100)[
            1
        ]

    needs = _read(loop, [100, 1000])
    # Each iteration reads a slice and the sum, and writes the sum; it does not read all of x.
    assert 100 * 3 * 4000 <= needs["bytes_accessed"] < 2 * 100 * 3 * 4000


def test_what_is_alive_at_the_peak():
    needs = _read(lambda x, w: tf.reduce_sum(tf.matmul(tf.matmul(x, w), w, transpose_b=True)), [256, 16], [16, 512])
    inner = 4 * 256 * 512
    assert inner <= needs["temporary_bytes"] < 2 * inner
    assert needs["largest"][0]["bytes"] == inner
    assert needs["largest"][0]["shape"] == "[256, 512]" and needs["largest"][0]["opcode"] == "dot"
