"""The interface of a tokenizer inside an export: strings to ids and back.

Shape letters: B batch, T tokens of the longest text, N new tokens.
"""

from typing import Any, Protocol

import tensorflow as tf


class Tokenizer(Protocol):
    """The tokenizer of the text signatures of an export. All of it runs in the graph of the export."""

    vocabulary_size: int
    """The least number of ids that a model must have."""
    boundary: int
    """The id before a text, which also ends generated text. It is no part of a text."""
    resources: list[Any]
    """Objects that TensorFlow must save with the export, such as tables."""

    def encode(self, text: tf.Tensor, shortest: int, longest: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Turns texts into ids, and fails the request if a text is not valid.

        Args:
            text: string `[B]`, B >= 1.
            shortest: the least number of tokens of a text.
            longest: the greatest number of tokens of a text.

        Returns:
            int32 `[B, T]`, padded with any valid id, and int32 `[B]`, the number of tokens of each row, without the
            boundary.
        """

    def decode(self, ids: tf.Tensor, lengths: tf.Tensor, new_ids: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
        """The text that new ids add to a text.

        Args:
            ids: int32 `[B, T]`, the text before.
            lengths: int32 `[B]`, the number of its tokens.
            new_ids: int32 `[B, N]`, the new tokens, padded.
            counts: int32 `[B]`, the number of new tokens.

        Returns:
            string `[B]`. Ids without text, such as the boundary, are left out.
        """

    def describe(self) -> dict[str, Any]:
        """The entry of the tokenizer in the model card."""
