"""Functions of a graph are compiled once, while the graph is traced."""

import os
import subprocess
import sys

import pytest
import tensorflow as tf

from reformer_tf.ops.execution import background_compilation, budgets

PROGRAM = """
import tensorflow as tf
from reformer_tf.ops.execution import background_compilation

function = tf.function(lambda x, parts: tf.tanh(x) + parts[0], jit_compile=True, autograph=False)
call = lambda x: background_compilation.call(function, x, [x, None])
around = tf.function(lambda x: call(call(x)), autograph=False)
x = tf.ones([3, 5])
traced = around.get_concrete_function(x)
background_compilation.wait()
print("traced", flush=True)
traced(x)
"""


def test_the_program_is_ready_before_the_graph_is_run():
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "0", "TF_CPP_VMODULE": "device_compiler=1"}
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        check=True,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    before, after = run.stdout.split("traced\n")
    assert before.count("Compilation of XLA executable time") == 1
    assert "Compilation of XLA executable time" not in after


@pytest.mark.parametrize("shape, most_bytes", [([None, 5], 10**6), ([3, 5], 2 * 4 * 15 - 1)])
def test_unknown_and_large_shapes_are_left_to_the_first_run(monkeypatch, shape, most_bytes):
    monkeypatch.setattr(background_compilation._Background, "start", lambda *_: pytest.fail("compiled early"))
    function = tf.function(tf.tanh, jit_compile=True)
    around = tf.function(lambda x: background_compilation.call(function, x), autograph=False)
    with budgets.override(background_bytes=most_bytes):
        assert around.get_concrete_function(tf.TensorSpec(shape))(tf.zeros([3, 5])).shape == [3, 5]


def test_a_function_that_was_traced_for_unknown_shapes_is_left_to_the_first_run(monkeypatch):
    monkeypatch.setattr(background_compilation._Background, "start", lambda *_: pytest.fail("compiled early"))
    function = tf.function(tf.tanh, jit_compile=True)
    function.get_concrete_function(tf.TensorSpec([None, 5]))
    around = tf.function(lambda x: background_compilation.call(function, x), autograph=False)
    assert around(tf.zeros([3, 5])).shape == [3, 5]


def test_several_replicas_are_left_to_their_first_run(monkeypatch, mirrored_strategy):
    monkeypatch.setattr(background_compilation._Background, "start", lambda *_: pytest.fail("compiled early"))
    function = tf.function(tf.tanh, jit_compile=True)
    around = tf.function(lambda x: mirrored_strategy.run(background_compilation.call, (function, x)), autograph=False)
    around(tf.zeros([3]))


def test_a_function_inside_a_compiled_program_is_not_compiled_separately(monkeypatch):
    monkeypatch.setattr(background_compilation._Background, "start", lambda *_: pytest.fail("compiled early"))
    function = tf.function(tf.tanh, jit_compile=True)
    tf.function(lambda x: background_compilation.call(function, x), jit_compile=True, autograph=False)(tf.zeros([3]))
