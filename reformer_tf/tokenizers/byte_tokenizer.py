"""A tokenizer whose tokens are bytes; in a graph it is made of TensorFlow's core operations only.

Shape letters: B batch, T tokens of the longest text, N new tokens.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from reformer_tf.layers import arguments
from reformer_tf.ops import graph_checks


class ByteTokenizer:
    """A tokenizer with one id for each byte, and one for the boundary of a document.

    Args:
        first: the id of byte 0; the others follow.
        boundary: the id that stands before a text.

    Raises:
        ValueError: if an id is negative, or the boundary is the id of a byte.

    Example:
        >>> tokenizer = ByteTokenizer()
        >>> tokenizer.to_ids("ab").tolist(), tokenizer.to_bytes([256, 97, 98])
        ([256, 97, 98], b'ab')
        >>> ids, lengths = tokenizer.encode(tf.constant(["ab", ""]), 0, 128)
        >>> ids.numpy().tolist(), lengths.numpy().tolist()
        ([[97, 98], [0, 0]], [2, 0])
    """

    def __init__(self, first: int = 0, boundary: int = 256):
        self.first = arguments.non_negative_integer("first", first)
        self.boundary = arguments.non_negative_integer("boundary", boundary)
        if first <= boundary < first + 256:
            raise ValueError(
                f"boundary must not be the id of a byte, from {first} to {first + 255}. Received: boundary={boundary}"
            )
        self.vocabulary_size = max(first + 256, boundary + 1)
        self.byte_counts = np.zeros(self.vocabulary_size, np.float32)
        self.byte_counts[first : first + 256] = 1.0
        self.resources: list[Any] = []

    @property
    def end(self) -> int:
        """See `Tokenizer.end`: the boundary."""
        return self.boundary

    def to_ids(self, text: str | bytes) -> np.ndarray:
        """See `Tokenizer.to_ids`."""
        data = text.encode("utf-8") if isinstance(text, str) else bytes(text)
        return np.concatenate([[self.boundary], np.frombuffer(data, np.uint8) + np.int32(self.first)]).astype(np.int32)

    def to_bytes(self, ids: Sequence[int] | np.ndarray) -> bytes:
        """See `Tokenizer.to_bytes`."""
        values = np.asarray(ids, np.int64).reshape(-1) - self.first
        return values[(values >= 0) & (values < 256)].astype(np.uint8).tobytes()

    def encode(self, text: tf.Tensor, shortest: int, longest: int, name: str = "text") -> tuple[tf.Tensor, tf.Tensor]:
        """See `Tokenizer.encode`."""
        lengths = tf.strings.length(text)
        rule = f"have from {shortest} to {longest} bytes a row"
        text = graph_checks.checked(text, graph_checks.between(name, lengths, shortest, longest, rule))
        # decode_raw does not allow a width of 0; the extra column is cut off again.
        width = tf.reduce_max(lengths)
        values = tf.io.decode_raw(text, tf.uint8, fixed_length=tf.maximum(width, 1))
        return tf.cast(values[:, :width], tf.int32) + self.first, lengths

    def decode(self, ids: tf.Tensor, lengths: tf.Tensor, new_ids: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
        """See `Tokenizer.decode`."""
        # The last entry is for ids that are not bytes.
        table = tf.constant([bytes([value]) for value in range(256)] + [b""])
        values = new_ids - self.first
        is_text = tf.sequence_mask(counts, tf.shape(new_ids)[1]) & (values >= 0) & (values < 256)
        return tf.strings.reduce_join(tf.gather(table, tf.where(is_text, values, 256)), axis=1)

    def describe(self) -> dict[str, Any]:
        """See `Tokenizer.describe`."""
        return {"kind": "bytes", "first": self.first, "boundary": self.boundary}
