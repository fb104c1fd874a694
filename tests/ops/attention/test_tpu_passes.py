"""The order of passes in a program for a TPU, in which control dependencies count for nothing."""

import functools

import tensorflow as tf
from tensorflow.compiler.xla.service import hlo_pb2

from reformer_tf.ops.attention import ordering, windowed, windows
from reformer_tf.ops.execution import budgets

LENGTH, SIZE, CHUNK, BUCKETS, ROUNDS = 64, 4, 8, 4, 3
WINDOW = windows.BucketWindow(CHUNK, True, True)
PRODUCTS = 4  # One after another in a pass: logits, outputs; logits again, a gradient.


def _attention(query, value, buckets):
    sorted_orders = ordering.hash_sorted_orders(buckets, None, BUCKETS, CHUNK)
    with tf.GradientTape() as tape:
        tape.watch([query, value])
        output = windowed.windowed_attention(query, windowed.normalised, value, sorted_orders, WINDOW)
    return tape.gradient(output, [query, value])


def _products_one_after_another():
    """The most products of which each needs the one before."""
    specs = [*[tf.TensorSpec([1, LENGTH, 1, SIZE])] * 2, tf.TensorSpec([1, ROUNDS, LENGTH], tf.int32)]
    with budgets.target("TPU"), budgets.override(ungrouped_bytes=4 * LENGTH * 2 * CHUNK):  # A round, not several.
        function = tf.function(_attention, jit_compile=True, autograph=False)
        lowered = function.experimental_get_compiler_ir(*specs)(stage="hlo_serialized", platform_name="GPU")
    module = hlo_pb2.HloModuleProto.FromString(lowered)
    instructions = {x.id: x for computation in module.computations for x in computation.instructions}

    @functools.cache
    def products(identifier):
        instruction = instructions[identifier]
        before = max((products(x) for x in instruction.operand_ids), default=0)
        return before + (instruction.opcode == "dot")

    assert not any(x.opcode == "while" for x in instructions.values())
    return max(products(identifier) for identifier in sorted(instructions))


def test_a_pass_begins_when_the_one_before_is_done():
    # The logits of the first gradient need no outputs.
    assert _products_one_after_another() == PRODUCTS * ROUNDS - 1
