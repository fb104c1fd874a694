"""The interface of a tokenizer.

Shape letters: B batch, T tokens of the longest text, N new tokens.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf


class Tokenizer(Protocol):
    """Text as ids and back: one text at a time in Python, and many in the graph of an export."""

    vocabulary_size: int
    """The least number of ids that a model must have."""
    boundary: int
    """The id before a text, which also ends generated text. It is no part of a text."""

    @property
    def end(self) -> int:
        """The id after a target that is made of a source, such as a translation. It is no part of a text."""

    @property
    def byte_counts(self) -> np.ndarray:
        """float32 `[vocabulary_size]`, the number of bytes that each id stands for; 0 for the boundary."""

    def to_ids(self, text: str | bytes) -> np.ndarray:
        """The ids of one text, int32 `[1 + T]`, beginning with the boundary. A `str` is taken as UTF-8."""

    def to_bytes(self, ids: Sequence[int] | np.ndarray) -> bytes:
        """The text of ids. Those that stand for no text are left out."""

    @property
    def resources(self) -> list[Any]:
        """Objects that TensorFlow must save with an export, such as tables.

        Raises:
            ValueError: if a package is missing without which the tokenizer cannot be in a graph.
        """

    def encode(self, text: tf.Tensor, shortest: int, longest: int, name: str = "text") -> tuple[tf.Tensor, tf.Tensor]:
        """Turns texts into ids in a graph, and fails the request if a text is not valid.

        Args:
            text: string `[B]`, B >= 1.
            shortest: the least number of tokens of a text.
            longest: the greatest number of tokens of a text.
            name: of the input, for the messages.

        Returns:
            int32 `[B, T]`, padded with any valid id, and int32 `[B]`, the number of tokens of each row, without the
            boundary.
        """

    def decode(self, ids: tf.Tensor, lengths: tf.Tensor, new_ids: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
        """The text that new ids add to a text, in a graph.

        Args:
            ids: int32 `[B, T]`, the text before.
            lengths: int32 `[B]`, the number of its tokens.
            new_ids: int32 `[B, N]`, the new tokens, padded.
            counts: int32 `[B]`, the number of new tokens.

        Returns:
            string `[B]`. Ids without text, such as the boundary, are left out.
        """

    def describe(self) -> dict[str, Any]:
        """The entry of the tokenizer in the model card of an export."""
