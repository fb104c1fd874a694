"""A tensor `[B, L, ...]` as pieces along its length, of which one is worked on at a time and replaced in place."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from reformer_tf.ops import shapes
from reformer_tf.ops.execution import loops

# A TensorArray, or `OneElementArray` in place of one with a single element.
SliceArray = Any


class OneElementArray(NamedTuple):
    """What a TensorArray of one element does, without one. It may be a variable of a loop, as that may."""

    element: Any = None

    def read(self, index: Any) -> tf.Tensor:
        return self.element

    def write(self, index: Any, element: Any) -> "OneElementArray":
        return OneElementArray(element)

    def stack(self) -> tf.Tensor:
        return self.element[None]

    def identity(self) -> "OneElementArray":
        return OneElementArray(tf.identity(self.element))


def packed(array: SliceArray) -> tf.Tensor:
    """All elements in one plain tensor."""
    return array.element if isinstance(array, OneElementArray) else array.stack()


def unpacked(tensor: tf.Tensor, like: SliceArray) -> SliceArray:
    """What `packed` packed, in an array like the one it was in."""
    if isinstance(like, OneElementArray):
        return OneElementArray(tensor)
    shape = tensor.shape[1:]
    array = tf.TensorArray(tensor.dtype, shapes.sizes(tensor)[0], element_shape=shape, clear_after_read=False)
    return array.unstack(tensor)


class SequenceSlices:
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
        self.is_single = isinstance(self.count, int) and self.count == 1
        self._missing = self.count * self.size - length
        # Sizes of what XLA compiles must not depend on the index of a piece.
        self._pads_each_slice = not (isinstance(self._missing, int) or loops.in_xla())

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
        """`[B, L, ...]` in the form that `take` takes, filled up as a whole where pieces are not filled alone."""
        if self._pads_each_slice or (isinstance(self._missing, int) and self._missing == 0):
            return x
        return tf.pad(x, [[0, 0], [0, self._missing], *([[0, 0]] * (x.shape.rank - 2))])

    def take(self, prepared: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
        """Piece `[B, l, ...]` of what `prepared` gave."""
        if self.is_single:
            return prepared
        start, length = index * self.size, self.size
        rest = [0] * (prepared.shape.rank - 2)
        if self._pads_each_slice:
            length = tf.clip_by_value(self.length - start, 0, self.size)
        # Sizes spelled out: with -1, and a start not known yet, XLA pads the whole to a multiple of it.
        sizes = shapes.sizes(prepared)
        part = tf.slice(prepared, tf.stack([0, start, *rest]), tf.stack([sizes[0], length, *sizes[2:]]))
        if self._pads_each_slice:
            part = tf.pad(part, [[0, 0], [0, self.size - length], *([0, 0] for _ in rest)])
        return tf.ensure_shape(part, [prepared.shape[0], self._static(self.size), *prepared.shape[2:]])

    def cut(self, x: tf.Tensor, dtype: tf.DType, copies: int, factor: float = 1.0) -> list[SliceArray]:
        """The pieces of `[B, L, ...]`, several times: copies share memory until one of them is changed.

        Args:
            x: what is cut.
            dtype: of the pieces.
            copies: how many times.
            factor: what pieces are multiplied by.
        """
        prepared = self.prepared(x)

        def body(index: tf.Tensor, state: list) -> list:
            part = tf.cast(self.take(prepared, index), dtype)
            if factor != 1.0:
                part *= tf.constant(factor, dtype)
            return [array.write(index, part) for array in state]

        return self.sweep(body, [self.empty(dtype, x.shape[2:], x) for _ in range(copies)])

    def join(self, array: SliceArray) -> tf.Tensor:
        """`[B, L, ...]` from its pieces."""
        if self.is_single:
            return array.element
        stacked = array.stack()
        axes = [1, 0, *range(2, stacked.shape.rank)]
        rest = shapes.sizes(stacked)[3:]
        joined = tf.reshape(tf.transpose(stacked, axes), [self.batch, self.count * self.size, *rest])
        joined = joined[:, : self.length]
        return tf.ensure_shape(joined, [self._static(self.batch), self._static(self.length), *stacked.shape[3:]])

    def empty(self, dtype: tf.DType, shape: Sequence[shapes.Size], after: tf.Tensor) -> SliceArray:
        """Pieces `[B, l, *shape]` that are still to be written, from what `after` is one of."""
        if self.is_single:
            return OneElementArray()
        return loops.array(dtype, self.count, [self._static(size) for size in (self.batch, self.size, *shape)], after)

    def copied(self, array: SliceArray) -> SliceArray:
        """The same pieces, in an array whose changes the given one does not follow. They share memory until then."""
        if self.is_single or not tf.executing_eagerly():
            return array.identity()
        copy = self.empty(array.dtype, array.element_shape[2:], array.read(0))
        return loops.count_up(self.count, lambda i, state: [state[0].write(i, array.read(i))], [copy])[0]

    def handle(self, array: SliceArray) -> tf.Tensor:
        """A tensor that is there when all pieces are."""
        return array.element if self.is_single else array.flow

    def sweep(self, body: Callable[[tf.Tensor, list], list], state: Sequence[Any]) -> list:
        """Runs `state = body(index, state)` over the pieces, one at a time."""
        if self.is_single:
            return body(tf.constant(0), list(state))
        return loops.count_up(self.count, body, state)

    @staticmethod
    def _static(size: shapes.Size) -> int | None:
        return size if isinstance(size, int) else None
