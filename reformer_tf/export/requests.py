"""Checks of a signature's inputs, see `graph_checks`.

Shape letters: B batch, L length, V vocabulary size.
"""

from collections.abc import Mapping, Sequence

import tensorflow as tf

from reformer_tf.ops.graph_checks import Rule, between, checked

PADDING = -1
"""The id that pads rows of ids."""


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


def one_a_row(name: str, value: tf.Tensor, rows: tf.Tensor, first: str = "text") -> Rule:
    """The rule that there is one entry for each row of the input `first`."""
    count = tf.shape(rows)[0]
    return (
        tf.equal(tf.shape(value)[0], count),
        f"`{name}` must have one entry for each row of `{first}`",
        tf.shape(value),
    )


def all_one_a_row(values: Mapping[str, tf.Tensor], rows: tf.Tensor, first: str) -> dict[str, tf.Tensor]:
    """Returns the same inputs, if each has one entry for each row of the input `first`."""
    return {name: checked(value, one_a_row(name, value, rows, first)) for name, value in values.items()}


def padded_ids(
    ids: tf.Tensor, vocabulary_size: int, shortest: int, longest: int, name: str = "ids"
) -> tuple[tf.Tensor, tf.Tensor]:
    """Checks ids whose rows may be padded with -1 at their end.

    Args:
        ids: int32 `[B, L]`.
        vocabulary_size: V.
        shortest: the least number of real tokens in a row.
        longest: the greatest L.
        name: of the input.

    Returns:
        The ids with 0 in place of -1, and the number of real tokens of each row, int32 `[B]`.
    """
    shape = tf.shape(ids)
    ids = checked(
        ids,
        has_rows(name, ids),
        (shape[1] <= longest, f"`{name}` must have at most {longest} columns", shape),
    )
    lengths = tf.reduce_sum(tf.cast(ids >= 0, tf.int32), axis=1)
    at_the_end = tf.equal(ids >= 0, tf.sequence_mask(lengths, shape[1]))
    ids = checked(
        tf.maximum(ids, 0),
        between(name, ids, PADDING, vocabulary_size - 1, f"be from 0 to {vocabulary_size - 1}, or -1 for padding"),
        (tf.reduce_all(at_the_end), f"`{name}` must have -1 at the end of a row only", ids),
        (
            tf.reduce_all(lengths >= shortest),
            f"`{name}` must have at least {shortest} that {'is' if shortest == 1 else 'are'} not -1 in each row",
            ids,
        ),
    )
    return ids, lengths
