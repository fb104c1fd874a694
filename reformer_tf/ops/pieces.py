"""A tensor `[B, L, ...]` as pieces along its length, of which one is worked on at a time and replaced in place."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from reformer_tf.ops import loops, shapes

# A TensorArray, or `Single`, which stands in for one that has one element.
Pieces = Any


class Single:
    """What a TensorArray of one element does, without one."""

    def __init__(self, piece: tf.Tensor | None = None):
        self.piece = piece

    def read(self, index: Any) -> tf.Tensor:
        return self.piece

    def write(self, index: Any, piece: tf.Tensor) -> "Single":
        return Single(piece)

    def stack(self) -> tf.Tensor:
        return self.piece[None]

    def identity(self) -> "Single":
        return Single(tf.identity(self.piece))


class Cutting:
    """How sequences are cut in S pieces of l tokens each; the last is filled up with zeros.

    Args:
        batch: B.
        length: L.
        most: tokens, of all B rows together, that a piece may have.
    """

    def __init__(self, batch: shapes.Size, length: shapes.Size, most: int):
        self.batch, self.length = batch, length
        most = most // batch
        most = max(most, 1) if isinstance(most, int) else tf.maximum(most, 1)
        # As many pieces as needed, of equal length, so that little is computed on what fills them up.
        self.count = shapes.ceil_div(length, most)
        if not isinstance(self.count, int):
            self.count = tf.maximum(self.count, 1)
        self.size = shapes.ceil_div(length, self.count)
        self.whole = isinstance(self.count, int) and self.count == 1

    def padded(self, x: tf.Tensor) -> tf.Tensor:
        """`[B, L, ...]` to `[B, S * l, ...]`."""
        missing = self.count * self.size - self.length
        if isinstance(missing, int) and missing == 0:
            return x
        return tf.pad(x, [[0, 0], [0, missing], *([[0, 0]] * (x.shape.rank - 2))])

    def piece(self, padded: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
        """Piece `[B, l, ...]` of `[B, S * l, ...]`."""
        if self.whole:
            return padded
        rest = padded.shape.rank - 2
        begin = tf.stack([0, index * self.size, *([0] * rest)])
        part = tf.slice(padded, begin, tf.stack([-1, self.size, *([-1] * rest)]))
        return tf.ensure_shape(part, [padded.shape[0], self._static(self.size), *padded.shape[2:]])

    def cut(self, x: tf.Tensor, dtype: tf.DType | None = None) -> Pieces:
        """The pieces of `[B, L, ...]`, cast to a dtype if one is given."""
        dtype = dtype or x.dtype
        padded = self.padded(x)

        def body(index: tf.Tensor, state: list) -> list:
            return [state[0].write(index, tf.cast(self.piece(padded, index), dtype))]

        return self.sweep(body, [self.empty(dtype, x.shape[2:])])[0]

    def join(self, pieces: Pieces) -> tf.Tensor:
        """`[B, L, ...]` from its pieces."""
        if self.whole:
            return pieces.piece
        stacked = pieces.stack()
        order = [1, 0, *range(2, stacked.shape.rank)]
        rest = shapes.sizes(stacked)[3:]
        whole = tf.reshape(tf.transpose(stacked, order), [self.batch, self.count * self.size, *rest])
        whole = whole[:, : self.length]
        return tf.ensure_shape(whole, [self._static(self.batch), self._static(self.length), *stacked.shape[3:]])

    def empty(self, dtype: tf.DType, shape: Sequence[shapes.Size]) -> Pieces:
        """Pieces `[B, l, *shape]` that are still to be written."""
        if self.whole:
            return Single()
        sizes = [self._static(size) for size in (self.batch, self.size, *shape)]
        return tf.TensorArray(dtype, size=self.count, element_shape=sizes, clear_after_read=False)

    def pack(self, pieces: Pieces) -> tf.Tensor:
        """All pieces as one plain tensor, `[S, B, l, ...]`, or `[B, L, ...]` where there is a single one."""
        return pieces.piece if self.whole else pieces.stack()

    def unpack(self, packed: tf.Tensor) -> Pieces:
        """The pieces that `pack` packed."""
        if self.whole:
            return Single(packed)
        return self.empty(packed.dtype, packed.shape[3:]).unstack(packed)

    def handle(self, pieces: Pieces) -> tf.Tensor:
        """A tensor that is there when all pieces are."""
        return pieces.piece if self.whole else pieces.flow

    def sweep(self, body: Callable[[tf.Tensor, list], list], state: Sequence[Any]) -> list:
        """Runs `state = body(index, state)` over the pieces, one at a time."""
        if self.whole:
            return body(tf.constant(0), list(state))
        return loops.count_up(self.count, body, state)

    @staticmethod
    def _static(size: shapes.Size) -> int | None:
        return size if isinstance(size, int) else None
