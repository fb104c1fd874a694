"""A tensor `[B, L, ...]` as pieces along its length, of which one is worked on at a time and replaced in place."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from reformer_tf.ops import shapes
from reformer_tf.ops.execution import loops

# A TensorArray, or `Single`, which stands in for one that has one element.
Pieces = Any


class Single(NamedTuple):
    """What a TensorArray of one element does, without one. It may be a variable of a loop, as that may."""

    piece: Any = None

    def read(self, index: Any) -> tf.Tensor:
        return self.piece

    def write(self, index: Any, piece: Any) -> "Single":
        return Single(piece)

    def stack(self) -> tf.Tensor:
        return self.piece[None]

    def identity(self) -> "Single":
        return Single(tf.identity(self.piece))


def packed(pieces: Pieces) -> tf.Tensor:
    """All elements in one plain tensor."""
    return pieces.piece if isinstance(pieces, Single) else pieces.stack()


def unpacked(tensor: tf.Tensor, like: Pieces) -> Pieces:
    """What `packed` packed, in an array like the one it was in."""
    if isinstance(like, Single):
        return Single(tensor)
    shape = tensor.shape[1:]
    array = tf.TensorArray(tensor.dtype, shapes.sizes(tensor)[0], element_shape=shape, clear_after_read=False)
    return array.unstack(tensor)


class Cutting:
    """How sequences are cut in S pieces of l tokens each; the last is filled up with zeros.

    Args:
        batch: B.
        length: L.
        most: tokens, of all B rows together, that a piece may have.
    """

    def __init__(self, batch: shapes.Size, length: shapes.Size, most: int):
        self.batch, self.length = batch, length
        # What is known of a piece's tokens where its size is not.
        self.most = max(most, batch) if isinstance(batch, int) else None
        most = most // (max(batch, 1) if isinstance(batch, int) else tf.maximum(batch, 1))
        most = max(most, 1) if isinstance(most, int) else tf.maximum(most, 1)
        # As many pieces as needed, of equal length, so that little is computed on what fills them up.
        self.count = shapes.ceil_div(length, most)
        if isinstance(self.count, int):
            self.size = shapes.ceil_div(length, self.count)
        else:
            self.size, self.count = self._few_sizes(length, most)
        self.whole = isinstance(self.count, int) and self.count == 1
        self._missing = self.count * self.size - length
        # Sizes of what XLA compiles must not depend on the index of a piece.
        self._filled_alone = not (isinstance(self._missing, int) or loops.in_xla())

    @staticmethod
    def _few_sizes(length: tf.Tensor, most: shapes.Size) -> tuple[tf.Tensor, tf.Tensor]:
        """Size and number of pieces where the length is not known.

        Whatever the lengths are, large pieces have few sizes, because functions are compiled for each of them.
        """
        size = shapes.ceil_div(length, tf.maximum(shapes.ceil_div(length, most), 1))
        step = tf.maximum(most // 32, 1)
        size = tf.where(size > 8 * step, tf.minimum(shapes.ceil_div(size, step) * step, most), size)
        return size, tf.maximum(shapes.ceil_div(length, tf.maximum(size, 1)), 1)

    def prepared(self, x: tf.Tensor) -> tf.Tensor:
        """`[B, L, ...]` in the form that `piece` takes, filled up as a whole where pieces are not filled alone."""
        if self._filled_alone or (isinstance(self._missing, int) and self._missing == 0):
            return x
        return tf.pad(x, [[0, 0], [0, self._missing], *([[0, 0]] * (x.shape.rank - 2))])

    def piece(self, prepared: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
        """Piece `[B, l, ...]` of what `prepared` gave."""
        if self.whole:
            return prepared
        start, length = index * self.size, self.size
        rest = [0] * (prepared.shape.rank - 2)
        if self._filled_alone:
            length = tf.clip_by_value(self.length - start, 0, self.size)
        # Sizes spelled out: with -1, and a start not known yet, XLA pads the whole to a multiple of it.
        sizes = shapes.sizes(prepared)
        part = tf.slice(prepared, tf.stack([0, start, *rest]), tf.stack([sizes[0], length, *sizes[2:]]))
        if self._filled_alone:
            part = tf.pad(part, [[0, 0], [0, self.size - length], *([0, 0] for _ in rest)])
        return tf.ensure_shape(part, [prepared.shape[0], self._static(self.size), *prepared.shape[2:]])

    def cut(self, x: tf.Tensor, dtype: tf.DType, copies: int, factor: float = 1.0) -> list[Pieces]:
        """The pieces of `[B, L, ...]`, several times: copies share memory until one of them is changed.

        Args:
            x: what is cut.
            dtype: of the pieces.
            copies: how many times.
            factor: what pieces are multiplied by.
        """
        prepared = self.prepared(x)

        def body(index: tf.Tensor, state: list) -> list:
            part = tf.cast(self.piece(prepared, index), dtype)
            if factor != 1.0:
                part *= tf.constant(factor, dtype)
            return [array.write(index, part) for array in state]

        return self.sweep(body, [self.empty(dtype, x.shape[2:], x) for _ in range(copies)])

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

    def empty(self, dtype: tf.DType, shape: Sequence[shapes.Size], after: tf.Tensor) -> Pieces:
        """Pieces `[B, l, *shape]` that are still to be written, from what `after` is one of."""
        if self.whole:
            return Single()
        return loops.array(dtype, self.count, [self._static(size) for size in (self.batch, self.size, *shape)], after)

    def copied(self, pieces: Pieces) -> Pieces:
        """The same pieces, in an array whose changes the given one does not follow. They share memory until then."""
        if self.whole or not tf.executing_eagerly():
            return pieces.identity()
        copy = self.empty(pieces.dtype, pieces.element_shape[2:], pieces.read(0))
        return loops.count_up(self.count, lambda i, state: [state[0].write(i, pieces.read(i))], [copy])[0]

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
