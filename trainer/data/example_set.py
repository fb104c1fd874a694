"""What every kind of examples has, for the loop, the datasets and the evaluations."""

from __future__ import annotations

from collections.abc import Sized
from typing import Protocol, Self

import numpy as np
import tensorflow as tf


class ExampleSet(Sized, Protocol):
    """Examples of a task.

    Shape letters: N examples, B rows of a batch, G rows of the global batch.
    """

    overlap: int
    """Number of ids at the beginning of each example that do not count among its tokens."""
    notes: tuple[str, ...]
    """Sentences for people about what of the documents is left out."""

    @property
    def tokens(self) -> int:
        """Number of tokens in all examples, as the task counts them."""

    @property
    def sizes(self) -> np.ndarray:
        """`[N]` int64, number of ids of each example without padding."""

    def spread(self, count: int) -> Self:
        """Chooses examples at equal distances from the first on; all if `count` is 0."""

    def gather(
        self, indices: tf.Tensor, among: tf.Tensor | None = None, draws: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, ...]:
        """Cuts a batch of the task with TensorFlow ops.

        Args:
            indices: `[B]` int64; a negative index gives a row that is all masked.
            among: `[G]` int64, all examples of the global batch that these rows are a part of; by default `indices`.
                They decide the length, so that all parts have the same.
            draws: `[B]` uint64, 64 random bits for each row of a training step; None in an evaluation, whose rows are
                always the same. For examples that are changed at random.

        Returns:
            Tensors `[B, ...]`, first ids and their mask.
        """
