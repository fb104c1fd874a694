"""Layers that are not quantized, and say why."""

from typing import Any, NoReturn

import keras

# The reason and the way out, as a part of messages.
REASON = (
    'TensorFlow\'s int8 products are slower than those of float32 on CPU; dtype="mixed_bfloat16" makes a model faster'
    " where the device has it"
)


class NotQuantized(keras.layers.Layer):
    """Base of layers that refuse Keras' `quantize`.

    Models of this package refuse filters that select such a layer. In other Keras models `quantize` skips it, with the
    message as a warning.
    """

    def quantize(self, mode: str | None = None, type_check: bool = True, config: Any = None) -> NoReturn:
        """Refused: TensorFlow's int8 products were two to four times as slow as float32 on CPU (`docs/fine_tuning.md`).

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(
            f"{type(self).__name__} is not quantized, because {REASON}. Layers of Keras, such as the head of a"
            " classifier, can be quantized by themselves."
            f" Received: mode={mode!r} for {self.name}"
        )
