"""A tensor `[B, L, ...]` as slices along its length, which are computed one at a time and replaced in place."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from reformer_tf.ops import shapes
from reformer_tf.ops.execution import budgets, loops

# An array of slices, see `loops`.
SliceArray = loops.Array


def packed(array: SliceArray) -> tf.Tensor:
    """Packs all elements of an array into one tensor."""
    return array.element if isinstance(array, loops.OneElementArray) else array.stack()


def unpacked(tensor: tf.Tensor, like: SliceArray) -> SliceArray:
    """Undoes `packed`: returns an array of the kind of `like`."""
    if isinstance(like, loops.OneElementArray):
        return loops.OneElementArray(tensor)
    shape = tensor.shape[1:]
    array = tf.TensorArray(tensor.dtype, shapes.sizes(tensor)[0], element_shape=shape, clear_after_read=False)
    return array.unstack(tensor)


class SequenceSlices:
    """The division of sequences into S slices of l tokens each; the last slice is padded with zeros.

    Args:
        batch: B.
        length: L.
        most: the maximum number of tokens in a slice, over all B rows together.
    """

    def __init__(self, batch: shapes.Size, length: shapes.Size, most: int):
        self.batch, self.length = batch, length
        # An upper bound of the tokens in a slice, where the size is a tensor.
        self.most = max(most, batch) if shapes.known([batch]) else None
        most = shapes.maximum(most // shapes.maximum(batch, 1), 1)
        # As few slices as possible, of equal length, so that little is computed on padding.
        self.count = shapes.ceil_div(length, most)
        if shapes.known([self.count]):
            self.size = shapes.ceil_div(length, self.count)
        else:
            self.size, self.count = self._few_sizes(length, most)
        self.is_single = shapes.is_one(self.count)
        self._missing = self.count * self.size - length
        # In XLA, sizes must not depend on the index of a slice.
        self._pads_each_slice = not (shapes.known([self._missing]) or loops.in_xla())

    @staticmethod
    def _few_sizes(length: tf.Tensor, most: shapes.Size) -> tuple[tf.Tensor, tf.Tensor]:
        """Size and number of slices where the length is a tensor.

        Large slices have few different sizes over all lengths, because functions are compiled for each size.
        """
        size = shapes.ceil_div(length, tf.maximum(shapes.ceil_div(length, most), 1))
        budget = budgets.current()
        step = tf.maximum(most // budget.slice_sizes, 1)
        size = tf.where(
            size > budget.free_slice_sizes * step, tf.minimum(shapes.ceil_div(size, step) * step, most), size
        )
        return size, tf.maximum(shapes.ceil_div(length, tf.maximum(size, 1)), 1)

    def prepared(self, x: tf.Tensor) -> tf.Tensor:
        """Prepares `[B, L, ...]` for `take`: pads the length to a multiple of l, unless `take` pads each slice."""
        if self._pads_each_slice or shapes.static(self._missing) == 0:
            return x
        return tf.pad(x, [[0, 0], [0, self._missing], *([[0, 0]] * (x.shape.rank - 2))])

    def take(self, prepared: tf.Tensor, index: shapes.Size) -> tf.Tensor:
        """Returns one slice `[B, l, ...]` of a tensor from `prepared`."""
        if self.is_single:
            return prepared
        start, length = index * self.size, self.size
        rest = [0] * (prepared.shape.rank - 2)
        if self._pads_each_slice:
            length = tf.clip_by_value(self.length - start, 0, self.size)
        # Explicit sizes: given -1 and a start not known yet, XLA pads the whole tensor to a multiple of the size.
        sizes = shapes.sizes(prepared)
        part = tf.slice(prepared, tf.stack([0, start, *rest]), tf.stack([sizes[0], length, *sizes[2:]]))
        if self._pads_each_slice:
            part = tf.pad(part, [[0, 0], [0, self.size - length], *([0, 0] for _ in rest)])
        return tf.ensure_shape(part, [prepared.shape[0], shapes.static(self.size), *prepared.shape[2:]])

    def cut(self, x: tf.Tensor, dtype: tf.DType, copies: int, factor: float = 1.0) -> list[SliceArray]:
        """Cuts `[B, L, ...]` into slices, in several copies that share memory until one of them is changed.

        Args:
            x: the tensor to cut.
            dtype: of the slices.
            copies: the number of copies.
            factor: slices are multiplied by it.
        """
        prepared = self.prepared(x)

        def body(index: shapes.Size, state: list) -> list:
            part = tf.cast(self.take(prepared, index), dtype)
            if factor != 1.0:
                part *= tf.constant(factor, dtype)
            return [array.write(index, part) for array in state]

        return self.sweep(body, [self.empty(dtype, x.shape[2:], x) for _ in range(copies)])

    def join(self, array: SliceArray) -> tf.Tensor:
        """Joins slices to `[B, L, ...]`."""
        if self.is_single:
            return array.element
        stacked = array.stack()
        axes = [1, 0, *range(2, stacked.shape.rank)]
        rest = shapes.sizes(stacked)[3:]
        joined = tf.reshape(tf.transpose(stacked, axes), [self.batch, self.count * self.size, *rest])
        joined = joined[:, : self.length]
        return tf.ensure_shape(joined, [shapes.static(self.batch), shapes.static(self.length), *stacked.shape[3:]])

    def empty(self, dtype: tf.DType, shape: Sequence[shapes.Size], after: tf.Tensor) -> SliceArray:
        """Makes an array for slices `[B, l, *shape]`, to be written in a loop; `after` as in `loops.array`."""
        return loops.array(dtype, self.count, [self.batch, self.size, *shape], after)

    def copied(self, array: SliceArray) -> SliceArray:
        """Copies an array, so that changes of the copy leave the original as it is. They share memory until then."""
        if self.is_single or not tf.executing_eagerly():
            return array.identity()
        copy = self.empty(array.dtype, array.element_shape[2:], array.read(0))
        return loops.count_up(self.count, lambda i, state: [state[0].write(i, array.read(i))], [copy])[0]

    def handle(self, array: SliceArray) -> tf.Tensor:
        """A tensor that is computed when all slices are, for control dependencies."""
        return array.flow

    def sweep(self, body: Callable[[shapes.Size, list], list], state: Sequence[Any]) -> list:
        """Runs `state = body(index, state)` for each slice, one at a time."""
        return loops.count_up(self.count, body, state)
