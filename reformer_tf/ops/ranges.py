"""Numbers that look something up (ids, labels), and numbers outside the range of what there is.

In eager mode such a number is an error that says which. Where a graph is compiled no error can be raised on every
device: an assertion is dropped by XLA, and a gather or a cross-entropy does as the device likes. So there the result
that the number would have decided is NaN, on every device alike, and a loss that it takes part in is NaN, too.
"""

from typing import Any

import tensorflow as tf

from reformer_tf.ops import shapes

# How many wrong numbers an error names.
_NAMED = 5


def int32(values: Any) -> tf.Tensor:
    """Casts integers to int32; those that do not fit become the nearest that does, and stay out of every range."""
    values = tf.convert_to_tensor(values)
    return tf.cast(values, tf.int32) if values.dtype.is_bool else tf.saturate_cast(values, tf.int32)


def nan_unless(holds: tf.Tensor) -> tf.Tensor:
    """float32 zeros, and NaN where a condition does not hold: to be added to what depends on it."""
    return tf.where(holds, 0.0, float("nan"))


def refuse_eagerly(rule: str, values: tf.Tensor, right: tf.Tensor) -> None:
    """Refuses numbers in eager mode; does nothing in a graph.

    Raises:
        ValueError: if a condition does not hold for all numbers; it says the rule, and for which it does not.
    """
    if not tf.executing_eagerly() or tf.reduce_all(right):
        return
    wrong = tf.unique(tf.reshape(values[~right], [-1]))[0].numpy()
    more = ", ..." if len(wrong) > _NAMED else ""
    raise ValueError(f"{rule} Received: {', '.join(str(value) for value in wrong[:_NAMED])}{more}")


def within(name: str, values: Any, size: Any, counted: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
    """Makes numbers that can be looked up of those that came.

    Args:
        name: of the argument that they came in.
        values: integers of any shape.
        size: they must be in [0, size); an integer or an int32 scalar.
        counted: booleans of the same shape; where False the number may be anything. All count if None.

    Returns:
        int32 numbers that are all in [0, size), 0 in place of others; and booleans of the same shape, False where the
        number is outside and counts.

    Raises:
        ValueError: in eager mode, if a number that counts is outside.
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
    """Checks a length, which a graph may not know.

    Args:
        longest: the greatest length there is.
        length: of a call.
        rule: what an error says.

    Returns:
        True; or, of a length that is known only when the graph runs, a boolean scalar: False where it is greater and
        the assertion, whose message is the better one, has been dropped by XLA.

    Raises:
        ValueError: if the length is known, and greater.
    """
    if isinstance(length, int):
        if length > longest:
            raise ValueError(f"{rule} Received: length={length}")
        return True
    tf.debugging.assert_less_equal(length, longest, message=rule)
    return length <= longest
