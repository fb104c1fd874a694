"""Checks of integers that are looked up (ids, labels) and may be out of range.

In eager mode such an integer raises an error that names it. A compiled graph cannot raise an error on every device: XLA
drops assertions, and gathers and cross-entropies do different things on different devices. There the result that
depends on the integer becomes NaN, on every device alike, and so does a loss that it enters.
"""

from typing import Any

import tensorflow as tf

from reformer_tf.ops import shapes

# The most integers that an error names.
_NAMED = 5


def int32(values: Any) -> tf.Tensor:
    """Casts integers to int32; those that do not fit become the nearest that does, which is out of range too."""
    values = tf.convert_to_tensor(values)
    return tf.cast(values, tf.int32) if values.dtype.is_bool else tf.saturate_cast(values, tf.int32)


def nan_unless(holds: tf.Tensor) -> tf.Tensor:
    """float32 zeros, and NaN where a condition does not hold; to be added to results that depend on it."""
    return tf.where(holds, 0.0, float("nan"))


def refuse_eagerly(rule: str, values: tf.Tensor, right: tf.Tensor) -> None:
    """Refuses wrong values in eager mode; does nothing in a graph.

    Raises:
        ValueError: if not all values are right; it names the rule and the wrong values.
    """
    if not tf.executing_eagerly() or tf.reduce_all(right):
        return
    wrong = tf.unique(tf.reshape(values[~right], [-1]))[0].numpy()
    more = ", ..." if len(wrong) > _NAMED else ""
    raise ValueError(f"{rule} Received: {', '.join(str(value) for value in wrong[:_NAMED])}{more}")


def within(name: str, values: Any, size: Any, counted: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
    """Checks integers before a look-up, and makes them safe for it.

    Args:
        name: of the argument that they are from.
        values: integers of any shape.
        size: the integers must be in [0, size); an integer or an int32 scalar.
        counted: booleans of the same shape; where False the integer may be any. All count if None.

    Returns:
        int32 values in [0, size), with 0 in place of others; and booleans of the same shape, False where the value is
        out of range and counts.

    Raises:
        ValueError: in eager mode, if a value that counts is out of range.
    """
    values = int32(values)
    inside = (values >= 0) & (values < size)
    right = inside if counted is None else inside | ~counted
    refuse_eagerly(f"{name} must be integers in [0, {size}) wherever they count.", values, right)
    return tf.where(inside, values, 0), right


def counted(labels: Any, ignore_id: int | None) -> tf.Tensor:
    """Booleans of the shape of integer labels, False where a label is `ignore_id`."""
    labels = int32(labels)
    return tf.ones_like(labels, tf.bool) if ignore_id is None else labels != ignore_id


def at_most(longest: int, length: shapes.Size, rule: str) -> Any:
    """Checks a length, which may be a tensor.

    Args:
        longest: the greatest length that is allowed.
        length: of a call.
        rule: the rule that an error states.

    Returns:
        True; or, if the length is a tensor, a boolean scalar. The graph also asserts the rule, with a message; the
        scalar is for XLA, which drops assertions.

    Raises:
        ValueError: if the length is an integer, and greater.
    """
    if isinstance(length, int):
        if length > longest:
            raise ValueError(f"{rule} Received: length={length}")
        return True
    tf.debugging.assert_less_equal(length, longest, message=rule)
    return length <= longest
