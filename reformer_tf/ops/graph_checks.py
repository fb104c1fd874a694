"""Checks of values inside a graph: a rule that is broken fails the call with `InvalidArgumentError`.

The message names the input, the rule and the value received. Values are checked before any work on them, so that no
other operation fails first, on any device.
"""

from typing import Any

import tensorflow as tf

Rule = tuple[tf.Tensor, str, Any]
"""Whether the rule holds, the text of the rule with the name of the input, and the value received."""


def checked(value: tf.Tensor, *rules: Rule) -> tf.Tensor:
    """Returns `value`, if all rules hold.

    Args:
        value: the value to compute with afterwards.
        *rules: a boolean scalar, the message up to "Received:", and the value that follows there.
    """
    assertions = [
        tf.raw_ops.Assert(condition=holds, data=[f"{message}. Received:", received], summarize=10)
        for holds, message, received in rules
    ]
    with tf.control_dependencies(assertions):
        return tf.identity(value)


def between(name: str, value: tf.Tensor, least: Any, most: Any, rule: str) -> Rule:
    """The rule that all entries are in a range. NaN is in no range.

    Args:
        name: of the input.
        value: numbers.
        least: the smallest value allowed.
        most: the greatest value allowed; None for no limit.
        rule: the rule in words, after "must".
    """
    fits = value >= tf.cast(least, value.dtype)
    if most is not None:
        fits &= value <= tf.cast(most, value.dtype)
    return tf.reduce_all(fits), f"`{name}` must {rule}", value
