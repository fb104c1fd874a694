"""A reversible stack and its plain twin."""

from collections.abc import Callable
from typing import Any

import numpy as np

from reformer_tf.layers import ReversibleStack


def make(blocks: Callable[[], list], width: int, **options: Any) -> list[ReversibleStack]:
    """Makes a reversible and a plain stack with the same random weights.

    Args:
        blocks: makes the blocks of a stack.
        width: M, of the streams.
        **options: of both stacks.
    """
    stacks = [ReversibleStack(blocks(), reversible=reversible, **options) for reversible in (True, False)]
    rng = np.random.default_rng(0)
    for stack in stacks:
        stack.build((None, None, width))
    for first, second in zip(*(stack.trainable_variables for stack in stacks), strict=True):
        value = 0.4 * rng.normal(size=first.shape)
        first.assign(value)
        second.assign(value)
    return stacks
