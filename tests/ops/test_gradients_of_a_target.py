"""Gradients are traced for the device that their forward pass was traced for, also after its scope has ended."""

import keras
import pytest
import tensorflow as tf

from reformer_tf.ops import bias_activation, sums
from reformer_tf.ops.attention import all_pairs, ordering, windowed, windows
from reformer_tf.ops.attention.patterns import WindowUnion
from reformer_tf.ops.execution import budgets

LENGTH, WINDOW = 32, windows.BucketWindow(8, True, True)


def _vectors(x):
    return tf.reshape(x, [1, LENGTH, 1, 4])


def _windowed(x):
    return windowed.windowed_attention(
        _vectors(x), windowed.normalised, _vectors(x), [ordering.local_sorted_order(1, LENGTH, None)], WINDOW
    )


def _all_pairs(x):
    sort_keys = [ordering.local_sort_keys(LENGTH, None)]
    with budgets.override(all_pairs_bytes=4 * LENGTH * 8):  # Four slices of queries.
        return all_pairs.all_pairs_attention(*[_vectors(x)] * 3, sort_keys, WindowUnion(WINDOW, False))


CALLS = {
    "look_up": lambda x: sums.look_up(x, tf.range(3)),
    "biased": lambda x: bias_activation.biased(keras.activations.gelu, x, tf.ones([4])),
    "windowed": _windowed,
    "all_pairs": _all_pairs,
}


@pytest.mark.parametrize("name", CALLS)
def test_the_target_is_that_of_the_forward_pass(name, monkeypatch):
    kinds, current_target = [], budgets.current_target

    def spy():
        kinds.append(current_target().kind)
        return current_target()

    monkeypatch.setattr(budgets, "current_target", spy)

    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            with budgets.target("GPU"):
                y = CALLS[name](x)
        kinds.clear()
        return tape.gradient(y, x)

    tf.function(gradient, jit_compile=True, autograph=False).get_concrete_function(tf.TensorSpec([LENGTH, 4]))
    assert set(kinds) == {"GPU"}
