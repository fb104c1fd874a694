"""The functions that Keras makes of a model's steps, made again where the model's weights are no longer those."""

from collections.abc import Callable
from typing import Any

import keras


class StepFunctions:
    """Mixin of models, to be listed before `keras.Model` among the bases: functions know the weights of their model.

    A model may share layers with others: what is done to these, such as adding or merging adapters, changes its weights
    after its functions were traced. They are made again before `evaluate` and `predict`; training is refused, because
    the optimizer was made for the weights of before.
    """

    name: str
    variables: list[keras.Variable]
    train_function: Any
    test_function: Any
    predict_function: Any

    def make_train_function(self, force: bool = False) -> None:
        """Keras' method.

        Raises:
            ValueError: if the model has other weights than when the function was made.
        """
        if not force and self._is_outdated(self.train_function):
            raise ValueError(
                "A model must be compiled again, by `compile()`, when it has other weights, for instance adapters of"
                f" its backbone. Received: {self.name}, trained before such a change"
            )
        self._make("train_function", super().make_train_function, force)  # type: ignore[misc]

    def make_test_function(self, force: bool = False) -> None:
        """Keras' method."""
        self._make("test_function", super().make_test_function, force)  # type: ignore[misc]

    def make_predict_function(self, force: bool = False) -> None:
        """Keras' method."""
        self._make("predict_function", super().make_predict_function, force)  # type: ignore[misc]

    def _make(self, name: str, make: Callable[[bool], Any], force: bool) -> None:
        before = getattr(self, name)
        make(force or self._is_outdated(before))
        made = getattr(self, name)
        if made is not before:
            # Not an attribute of the model, which would take the variables for weights of its own.
            made.known_variables = self.variables

    def _is_outdated(self, function: Any) -> bool:
        known = getattr(function, "known_variables", None)
        # Variables are compared by identity: their == is that of their elements.
        return known is not None and list(map(id, known)) != list(map(id, self.variables))
