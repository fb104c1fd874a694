"""Operations that a TPU would not take are found anywhere in a function."""

import pytest
import tensorflow as tf

from tests.testing import xla_ops


def _examine(function, *arguments):
    traced = tf.function(function, autograph=False).get_concrete_function(*arguments)
    return xla_ops.examine(traced)


def _in_a_loop(body):
    """A function of a vector that does something in the body of a loop inside a called function."""

    def loop(x):
        return tf.while_loop(lambda i, _: i < 3, lambda i, x: (i + 1, body(x)), [0, x], maximum_iterations=3)[1]

    return tf.function(loop, autograph=False)


VECTOR = tf.TensorSpec([4], tf.float32)


def test_what_a_tpu_takes_has_no_problems():
    found = _examine(_in_a_loop(lambda x: tf.tanh(x) * 2.0), VECTOR)
    assert found.problems() == []
    assert found.counts["Tanh"] == 1 and "float32" in found.types


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (lambda x: tf.reduce_sum(tf.where(x > 0)), "not static: Where "),
        (lambda x: tf.py_function(lambda x: x, [x], tf.float32), "calls to the host: EagerPyFunc "),
        (lambda x: tf.strings.to_number(tf.strings.as_string(x)), "not registered for XLA: AsString, StringToNumber"),
        (lambda x: tf.boolean_mask(x, x > 0), "not static: "),
        (lambda x: tf.cast(tf.cast(x, tf.complex128), tf.float32), "types that TPUs do not have: complex128"),
        (lambda x: tf.function(tf.tanh, jit_compile=True)(x), "compiled apart: "),
    ],
)
def test_problems_are_named(body, problem):
    found = _examine(lambda x: tf.function(body, autograph=False)(x), VECTOR)
    assert any(problem in text for text in found.problems()), found.problems()


def test_problems_inside_loops_are_found():
    def body(x):
        tf.print(tf.reduce_sum(x))
        return x

    found = _examine(_in_a_loop(body), VECTOR)
    assert any("calls to the host: PrintV2 " in text for text in found.problems())


def test_a_size_that_is_not_known_is_found():
    found = _examine(lambda x: x + 1.0, tf.TensorSpec([None, 3], tf.float32))
    assert any("not static: AddV2" in text for text in found.problems())


def test_a_compiled_outermost_function_is_not_compiled_apart():
    compiled = tf.function(lambda x: tf.tanh(x), jit_compile=True, autograph=False)
    assert _examine(lambda x: compiled(x), VECTOR).problems() == []


def test_what_may_be_there_is_named_by_the_caller():
    traced = tf.function(tf.strings.as_string).get_concrete_function(VECTOR)
    assert any("AsString" in text for text in xla_ops.examine(traced).problems())
    assert not any("AsString" in text for text in xla_ops.examine(traced, also=["AsString"]).problems())
