"""What `fit` and the like are given, looked at before any work."""

import functools
import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras

# Called with what is known of x, y and sample_weight of a batch; raises a ValueError for what cannot be used.
Check = Callable[[Any, Any, Any], None]


def checked(method: Callable[..., Any]) -> Callable[..., Any]:
    """Keras' method of a model, such as `keras.Model.fit`, which looks at its data first.

    The model has `check_data`, a `Check`, and `takes_class_weight`. Of a dataset or a generator the first batch is
    looked at; validation data, too, before the first epoch.
    """
    signature = inspect.signature(method)

    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(self, *args, **kwargs)
        values = bound.arguments
        if values.get("kwargs", {}).get("_use_cached_eval_dataset"):
            # `fit` itself evaluates, on data that were looked at, and that a look at a generator would use up.
            return method(*bound.args, **bound.kwargs)
        if values.get("class_weight") is not None and not self.takes_class_weight:
            raise ValueError(
                f"class_weight must be left out, because a row of {type(self).__name__} has no class: use sample_weight"
                f" where the model takes it. Received: class_weight={values['class_weight']}"
            )
        if _is_array(values.get("x")):
            self.check_data(*(values.get(name) for name in ("x", "y", "sample_weight")))
        elif "x" in values:
            values["x"] = _looked_at(values["x"], self.check_data)
        if values.get("validation_data") is not None:
            values["validation_data"] = _looked_at(values["validation_data"], self.check_data)
        return method(*bound.args, **bound.kwargs)

    return call


def _is_array(x: Any) -> bool:
    return isinstance(x, list | tuple | dict) or hasattr(x, "shape")


def _looked_at(data: Any, check: Check) -> Any:
    """Data after a look at their first batch; of a generator, another one that yields the same."""

    def look(batch: Any) -> None:
        check(*keras.utils.unpack_x_y_sample_weight(batch))

    if hasattr(data, "element_spec"):
        look(data.element_spec)
    elif isinstance(data, keras.utils.PyDataset):
        look(data[0])
    elif inspect.isgenerator(data):
        first = list(itertools.islice(data, 1))
        for batch in first:
            look(batch)
        return _chained(first, data)
    elif _is_array(data):
        x, *rest = keras.utils.unpack_x_y_sample_weight(data)
        if _is_array(x):
            check(x, *rest)
        else:
            _looked_at(x, check)
    return data


def _chained(*parts: Iterable[Any]) -> Iterator[Any]:
    """A generator, which Keras tells from other iterators."""
    for part in parts:
        yield from part
