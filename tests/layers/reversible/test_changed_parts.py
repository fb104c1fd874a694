"""Branches that differ only in a later change of a part: they do not belong to one layer scan."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from reformer_tf.layers import ChunkedFeedForward, FullSelfAttention, ResidualBranch, ReversibleStack
from reformer_tf.layers.reversible import repeated_blocks

WIDTH = 8
CHANGES = {
    "epsilon": (lambda f, g: (f.normalization, g.normalization), "epsilon", 0.5),
    "rate": (lambda f, g: (f.dropout, g.dropout), "rate", 0.7),
}


def _blocks():
    return [
        (
            ResidualBranch(FullSelfAttention(1, 4, seed=i), 0.1, seed=10 + i),
            ResidualBranch(ChunkedFeedForward(12), 0.1, seed=20 + i),
        )
        for i in range(2)
    ]


def _gradients(reversible, parts, name, value):
    keras.utils.set_random_seed(0)
    blocks = _blocks()
    stack = ReversibleStack(blocks, reversible=reversible, seed=0)
    stack.build((None, None, WIDTH))
    for part in parts(*blocks[1]):
        setattr(part, name, value)
    x = tf.constant(np.random.default_rng(0).normal(size=(2, 9, WIDTH)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(tf.sin(stack(x, seed=tf.constant([1, 2]), training=True)))
    return [np.asarray(g) for g in tape.gradient(loss, [x, *stack.trainable_variables])]


@pytest.mark.parametrize("change", CHANGES)
def test_gradients_are_those_of_the_plain_stack(change):
    reversible, plain = (_gradients(way, *CHANGES[change]) for way in (True, False))
    largest = max(np.abs(g).max() for g in plain)
    for a, b in zip(reversible, plain, strict=True):
        assert np.abs(a - b).max() <= 1e-5 * largest


@pytest.mark.parametrize("part", ["layer", "normalization", "dropout"])
def test_a_part_with_another_policy_makes_another_kind(part):
    stack = ReversibleStack(_blocks(), seed=0)
    stack.build((None, None, WIDTH))
    options = {"mask": None, "segment_ids": None, "seed": None, "training": False}
    for first, second in zip(stack.branches[:2], stack.branches[2:], strict=True):
        assert repeated_blocks.make_branch(first, options).kind == repeated_blocks.make_branch(second, options).kind
        getattr(second, part).dtype_policy = "mixed_bfloat16"
        assert repeated_blocks.make_branch(first, options).kind != repeated_blocks.make_branch(second, options).kind
