"""A moving average of the weights: updated in training, and used instead of them in evaluation and export."""

import contextlib
from collections.abc import Iterator, Sequence

import keras
import tensorflow as tf


class MovingAverage:
    """Exponential moving averages of the trainable variables over the updates so far.

    After an update, `average = momentum * average + (1 - momentum) * variable`, as `ema_momentum` of the Keras
    optimizers means it; the average after the first update is the variable itself.

    Make it in the scope of the strategy. Each average is on the devices of its variable.

    Args:
        variables: The variables.
        momentum: Weight of the old average in an update, above 0 and below 1.

    Attributes:
        variables: The averages, in the order of `variables`.
    """

    def __init__(self, variables: Sequence[keras.Variable], momentum: float):
        self._momentum = momentum
        self._strategy = tf.distribute.get_strategy()
        self._sources = list(variables)
        self.variables = [self._beside(variable) for variable in variables]
        self.reset()

    def reset(self) -> None:
        """Sets the averages to the current values of the variables."""
        for variable, average in zip(self._sources, self.variables, strict=True):
            average.assign(variable.value)

    def update(self, index: int, variable: tf.Variable, first: tf.Tensor) -> None:
        """Updates the average of one variable, on the device of a replica.

        Args:
            index: Index of the variable.
            variable: Its component on the device.
            first: Scalar bool, whether this is the first update.
        """
        average = self.variables[index].value
        momentum = tf.where(first, tf.zeros([], average.dtype), tf.cast(self._momentum, average.dtype))
        average.assign(momentum * average + (1.0 - momentum) * variable)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Swaps the variables and their averages, and swaps them back at the end.

        The swap takes no memory. Do not save either of them inside.
        """
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @tf.function(autograph=False)
    def _exchange(self) -> None:
        def exchange(variable: tf.Variable, average: tf.Variable) -> None:
            old, new = variable.read_value(), average.read_value()
            variable.assign(new)
            average.assign(old)

        for variable, average in zip(self._sources, self.variables, strict=True):
            self._strategy.extended.update(variable.value, exchange, args=(average.value,), group=False)

    def _beside(self, variable: keras.Variable) -> keras.Variable:
        with self._strategy.extended.colocate_vars_with(variable.value):
            return keras.Variable(
                "zeros", shape=variable.shape, dtype=variable.dtype, trainable=False, name=f"{variable.name}_average"
            )
