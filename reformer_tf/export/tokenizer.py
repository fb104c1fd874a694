"""How strings become ids inside an export, and ids strings.

Shape letters: B batch, T tokens of the longest text, N new tokens.
"""

from typing import Any, Protocol

import tensorflow as tf


class Tokenizer(Protocol):
    """What the text signatures of an export need. All of it runs in the graph of the export."""

    vocabulary_size: int
    """How many ids a model must have at least."""
    boundary: int
    """The id that stands before a text and ends what is generated. It is no part of a text."""
    resources: list[Any]
    """What TensorFlow must save with the export, such as tables."""

    def encode(self, text: tf.Tensor, shortest: int, longest: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Turns texts into ids, and fails the request if one of them is not as it must be.

        Args:
            text: string `[B]`, B >= 1.
            shortest: how many tokens each must have at least.
            longest: how many it may have.

        Returns:
            int32 `[B, T]`, filled up with any valid id, and int32 `[B]`, the number of tokens of each row. The boundary
            is not among them.
        """

    def decode(self, ids: tf.Tensor, lengths: tf.Tensor, new_ids: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
        """The text that new ids add to a text.

        Args:
            ids: int32 `[B, T]`, the text before.
            lengths: int32 `[B]`, its tokens.
            new_ids: int32 `[B, N]`.
            counts: int32 `[B]`, how many of these are new tokens.

        Returns:
            string `[B]`. Ids that stand for no text, such as the boundary, are left out.
        """

    def describe(self) -> dict[str, Any]:
        """What the model card says about it."""
