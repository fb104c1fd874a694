"""Constructor arguments and parts that cannot be changed later, because weights or windows were made from them."""

from typing import Any, ClassVar

import keras


class FixedArguments(keras.layers.Layer):
    """Base of layers with fixed attributes: setting another value later is an error, not half a change.

    Attributes:
        fixed: names of these attributes. A subclass that makes its own parts lists fewer.
    """

    fixed: ClassVar[frozenset[str]] = frozenset()

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.fixed and name in vars(self):
            made = vars(self)[name]
            raise ValueError(
                f"{name} must be as it was when the layer was made, because weights or windows follow from it: make"
                " another layer."
                f" Received: {name}={value!r} for {self.name}, made with {name}={made!r}"
            )
        super().__setattr__(name, value)
