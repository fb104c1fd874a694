"""A loop whose turns do the same with other tensors: what differs is in arrays, by the number of the turn."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from reformer_tf.ops import loops
from reformer_tf.ops.pieces import Pieces, Single


class Turns:
    """A loop of some turns; a single turn is done without a loop, and then arrays are `Single`.

    Args:
        count: the number of turns.
    """

    def __init__(self, count: int):
        self.count = count
        self.single = count == 1

    def array(self, values: Sequence[tf.Tensor]) -> Pieces:
        """A tensor for each turn, of the same dtype and rank. They are not copied."""
        if self.single:
            return Single(values[0])
        shape = values[0].shape
        for value in values[1:]:
            shape = shape.most_specific_compatible_shape(value.shape)
        result = tf.TensorArray(values[0].dtype, size=self.count, element_shape=shape, clear_after_read=False)
        for turn, value in enumerate(values):
            result = result.write(turn, value)
        return result

    def empty(self, dtype: tf.DType, shape: Sequence[int | None], after: tf.Tensor) -> Pieces:
        """Room for a tensor of each turn; `after` as in `loops.array`."""
        return Single() if self.single else loops.array(dtype, self.count, shape, after)

    def values(self, array: Pieces) -> list[tf.Tensor]:
        """The tensor of each turn."""
        return [array.read(turn) for turn in range(self.count)]

    def forward(self, body: Callable[[Any, list], list], state: Sequence[Any]) -> list:
        """Runs `state = body(turn, state)` for each turn."""
        return body(0, list(state)) if self.single else loops.count_up(self.count, body, state)

    def backward(self, body: Callable[[Any, list], list], state: Sequence[Any]) -> list:
        """Runs `state = body(turn, state)` for each turn, the last one first."""
        return self.forward(lambda turn, state: body(self.count - 1 - turn, state), state)
