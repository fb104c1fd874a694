"""Checks the data passed to `fit` and similar methods before any work."""

import functools
import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras

# Called with x, y and sample_weight of a batch, or with their specs; raises a ValueError for data that cannot be used.
Check = Callable[[Any, Any, Any], None]


def checked(method: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps Keras' method of a model, such as `keras.Model.fit`, so that it checks its data first.

    The model has `check_data`, a `Check`, and `takes_class_weight`. For a dataset or a generator the first batch is
    checked; validation data are checked before the first epoch too.
    """
    signature = inspect.signature(method)

    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(self, *args, **kwargs)
        values = bound.arguments
        if values.get("kwargs", {}).get("_use_cached_eval_dataset"):
            # `fit` itself evaluates on data that are checked already; checking a generator again would consume it.
            return method(*bound.args, **bound.kwargs)
        if values.get("class_weight") is not None and not self.takes_class_weight:
            raise ValueError(
                f"class_weight must be left out, because a row of {type(self).__name__} has no class: use sample_weight"
                f" where the model takes it. Received: class_weight={values['class_weight']}"
            )
        if _is_array(values.get("x")):
            self.check_data(*(values.get(name) for name in ("x", "y", "sample_weight")))
        elif "x" in values:
            values["x"] = _checked_data(values["x"], self.check_data)
        if values.get("validation_data") is not None:
            values["validation_data"] = _checked_data(values["validation_data"], self.check_data)
        return method(*bound.args, **bound.kwargs)

    return call


def _is_array(x: Any) -> bool:
    return isinstance(x, list | tuple | dict) or hasattr(x, "shape")


def _checked_data(data: Any, check: Check) -> Any:
    """Checks the first batch and returns the data; for a generator, another one that yields the same batches."""

    def check_batch(batch: Any) -> None:
        check(*keras.utils.unpack_x_y_sample_weight(batch))

    if hasattr(data, "element_spec"):
        check_batch(data.element_spec)
    elif isinstance(data, keras.utils.PyDataset):
        check_batch(data[0])
    elif inspect.isgenerator(data):
        first = list(itertools.islice(data, 1))
        for batch in first:
            check_batch(batch)
        return _chained(first, data)
    elif _is_array(data):
        x, *rest = keras.utils.unpack_x_y_sample_weight(data)
        if _is_array(x):
            check(x, *rest)
        else:
            _checked_data(x, check)
    return data


def _chained(*parts: Iterable[Any]) -> Iterator[Any]:
    """Chains iterables in a generator, because Keras treats other iterators differently."""
    for part in parts:
        yield from part
