"""Checks of a signature's inputs. A request that breaks a rule fails with `InvalidArgumentError`.

The message names the input, the rule and the value received. Values are checked before any work on them, so that no
other operation fails first, on any device.

Shape letters: B batch, L length, V vocabulary size.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

PADDING = -1
"""The id that pads rows of ids."""

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


def any_rank_specs(specs: Sequence[tf.TensorSpec]) -> list[tf.TensorSpec]:
    """Specs without ranks, for `input_signature`: TensorFlow would assume a declared rank without checking it."""
    return [tf.TensorSpec(None, spec.dtype, spec.name) for spec in specs]


def with_rank(spec: tf.TensorSpec, value: tf.Tensor) -> tf.Tensor:
    """Returns `value`, if it has the rank of `spec`."""
    letters = ", ".join("BL"[: spec.shape.rank])
    fits = tf.equal(tf.rank(value), spec.shape.rank)
    value = checked(value, (fits, f"`{spec.name}` must have a shape [{letters}]", tf.shape(value)))
    value.set_shape(spec.shape)  # tf.ensure_shape would not wait for the check, and would fail first.
    return value


def has_rows(name: str, value: tf.Tensor) -> Rule:
    """The rule that the batch is not empty."""
    return tf.shape(value)[0] > 0, f"`{name}` must have at least one row", tf.shape(value)


def one_a_row(name: str, value: tf.Tensor, rows: tf.Tensor) -> Rule:
    """The rule that there is one entry for each row of `text`."""
    count = tf.shape(rows)[0]
    return tf.equal(tf.shape(value)[0], count), f"`{name}` must have one entry for each row of `text`", tf.shape(value)


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


def padded_ids(ids: tf.Tensor, vocabulary_size: int, shortest: int, longest: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Checks ids whose rows may be padded with -1 at their end.

    Args:
        ids: int32 `[B, L]`.
        vocabulary_size: V.
        shortest: the least number of real tokens in a row.
        longest: the greatest L.

    Returns:
        The ids with 0 in place of -1, and the number of real tokens of each row, int32 `[B]`.
    """
    shape = tf.shape(ids)
    ids = checked(
        ids,
        has_rows("ids", ids),
        (shape[1] <= longest, f"`ids` must have at most {longest} columns", shape),
    )
    lengths = tf.reduce_sum(tf.cast(ids >= 0, tf.int32), axis=1)
    at_the_end = tf.equal(ids >= 0, tf.sequence_mask(lengths, shape[1]))
    ids = checked(
        tf.maximum(ids, 0),
        between("ids", ids, PADDING, vocabulary_size - 1, f"be from 0 to {vocabulary_size - 1}, or -1 for padding"),
        (tf.reduce_all(at_the_end), "`ids` must have -1 at the end of a row only", ids),
        (
            tf.reduce_all(lengths >= shortest),
            f"`ids` must have at least {shortest} that {'is' if shortest == 1 else 'are'} not -1 in each row",
            ids,
        ),
    )
    return ids, lengths
