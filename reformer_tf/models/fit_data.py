"""What `fit` and the like are given, looked at before any work."""

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import keras

# Called with what is known of x, y and sample_weight of a batch; raises a ValueError for what cannot be used.
Check = Callable[[Any, Any, Any], None]


def checked(method: Callable[..., Any]) -> Callable[..., Any]:
    """Keras' method of a model, such as `keras.Model.fit`, which looks at its data first.

    The model has `check_data`, a `Check`, and `takes_class_weight`. What a generator or a dataset yields in training is
    looked at when the first step is made of it, before any update; what it is validated with, before the first epoch.
    """
    signature = inspect.signature(method)

    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        given = signature.bind(self, *args, **kwargs)
        values = given.arguments
        if values.get("class_weight") is not None and not self.takes_class_weight:
            raise ValueError(
                f"class_weight must be left out, because a row of {type(self).__name__} has no class: use sample_weight"
                f" where the model takes it. Received: class_weight={values['class_weight']}"
            )
        if _is_array(values.get("x")):
            self.check_data(*(values.get(name) for name in ("x", "y", "sample_weight")))
        if values.get("validation_data") is not None:
            values["validation_data"] = _looked_at(values["validation_data"], self.check_data)
        return method(*given.args, **given.kwargs)

    return call


def _is_array(x: Any) -> bool:
    return isinstance(x, list | tuple | dict) or hasattr(x, "shape")


def _looked_at(data: Any, check: Check) -> Any:
    """Validation data after a look at its first batch; of a generator, another one that yields the same."""

    def look(batch: Any) -> None:
        check(*keras.utils.unpack_x_y_sample_weight(batch))

    if hasattr(data, "element_spec"):
        look(data.element_spec)
    elif isinstance(data, keras.utils.PyDataset):
        look(data[0])
    elif inspect.isgenerator(data):
        first = next(data)
        look(first)
        return _chained(first, data)
    elif _is_array(data):
        x, *rest = keras.utils.unpack_x_y_sample_weight(data)
        if _is_array(x):
            check(x, *rest)
        else:
            _looked_at(x, check)
    return data


def _chained(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest
