"""Values of weights in a computation, so that nobody computes the gradients of frozen ones.

Keras freezes a variable without telling TensorFlow: tapes go on watching it, and compute a gradient that nobody asks
for. Inside a custom gradient, or a loop, nothing removes it again.
"""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf


def value(variable: keras.Variable) -> tf.Tensor:
    """The value of a weight, through which no gradient flows if it is frozen."""
    tensor = tf.convert_to_tensor(variable)
    return tensor if variable.trainable else tf.stop_gradient(tensor)


def separated(
    variables: Sequence[keras.Variable], values: Sequence[tf.Tensor]
) -> tuple[list[tf.Tensor], Callable[[Sequence[tf.Tensor]], list[tf.Tensor]]]:
    """Separates the weights of a function that has a gradient for each of its arguments.

    Args:
        variables: the weights.
        values: their values.

    Returns:
        The values of the weights that are trained, to be arguments; and a function from such arguments to the values of
        all weights, which takes the frozen ones from here.
    """
    trained = [variable.trainable for variable in variables]

    def joined(arguments: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        remaining = iter(arguments)
        return [next(remaining) if is_trained else x for x, is_trained in zip(values, trained, strict=True)]

    return [x for x, is_trained in zip(values, trained, strict=True) if is_trained], joined
