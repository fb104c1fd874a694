"""A moving average of the weights, kept beside them in training and put in their place where the model is used."""

import contextlib
from collections.abc import Iterator, Sequence

import keras
import tensorflow as tf


class MovingAverage:
    """An average of each trainable variable over the updates so far, in which an old update weighs less and less.

    After an update, `average = momentum * average + (1 - momentum) * variable`, as `ema_momentum` of the Keras
    optimizers means it; the average after the first update is the variable itself.

    Make it in the scope of the strategy. The averages lie where the variables lie.

    Args:
        variables: What to average.
        momentum: Share of the average that an update leaves, above 0 and below 1.

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
        """Begins anew with the variables as they are."""
        for variable, average in zip(self._sources, self.variables, strict=True):
            average.assign(variable.value)

    def update(self, index: int, variable: tf.Variable, first: tf.Tensor) -> None:
        """Takes up an update of one variable, on the device of a replica.

        Args:
            index: Which variable it is.
            variable: The part of it that lies on the device.
            first: Scalar bool, whether it is the first update.
        """
        average = self.variables[index].value
        momentum = tf.where(first, tf.zeros([], average.dtype), tf.cast(self._momentum, average.dtype))
        average.assign(momentum * average + (1.0 - momentum) * variable)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Exchanges the variables and their averages, and changes them back at the end.

        The values only change their owners, so this takes no memory. Nothing that is to be kept should be read from
        either inside.
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
