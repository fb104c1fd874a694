"""Layers that are not quantized, and say why."""

from typing import Any, NoReturn

import keras


class NotQuantized(keras.layers.Layer):
    """Base of layers that refuse Keras' `quantize`, which skips them, with the reason as a warning, in whole models."""

    def quantize(self, mode: str | None = None, type_check: bool = True, config: Any = None) -> NoReturn:
        """Refused: TensorFlow's int8 products were two to four times as slow as float32 on CPU (`docs/fine_tuning.md`).

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(
            f"{type(self).__name__} is not quantized, because TensorFlow's int8 products are slower than those of"
            ' float32 on CPU: dtype="mixed_bfloat16" makes a model faster where the device has it, and layers of Keras,'
            " such as the head of a classifier, can be quantized by themselves."
            f" Received: mode={mode!r} for {self.name}"
        )
