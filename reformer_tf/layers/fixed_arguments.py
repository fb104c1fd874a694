"""Constructor arguments that cannot be changed afterwards, because weights or windows were made of them."""

from typing import Any, ClassVar

import keras


class FixedArguments(keras.layers.Layer):
    """Base of layers with such arguments: setting another value later is an error, not half a change.

    Attributes:
        fixed: the names of the arguments.
    """

    fixed: ClassVar[frozenset[str]] = frozenset()

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.fixed and name in vars(self):
            made = vars(self)[name]
            raise ValueError(
                f"{name} must be given when the layer is made, because its weights or windows follow from it."
                f" Received: {name}={value!r} for {self.name}, made with {name}={made!r}"
            )
        super().__setattr__(name, value)
