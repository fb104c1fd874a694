"""Checks of the inputs of layers and models, before Keras converts, builds or traces anything."""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from reformer_tf.layers import arguments


class CheckedInputs:
    """Mixin of layers and models, to be listed before `keras.layers.Layer` among the bases.

    It refuses ragged and sparse tensors and unknown ranks in any argument, and passes an implicit mask on. Keras does
    so only if no other argument is a tensor: with `seed` or `segment_ids`, the mask would be lost.
    """

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(inputs, *args, **self._checked(inputs, args, kwargs))  # type: ignore[misc]

    @tf.autograph.experimental.do_not_convert
    def _checked(self, inputs: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The keyword arguments, with the implicit mask if there is one and the caller passes none."""
        names = _parameters(type(self).call)  # type: ignore[attr-defined]
        for name, value in (*zip(names[1:], args, strict=False), *kwargs.items()):
            arguments.dense(name, value)
            arguments.known_rank(name, value)
        self.check_inputs(inputs)
        if "mask" not in names or len(args) >= names.index("mask") or kwargs.get("mask") is not None:
            return kwargs
        mask = _implicit_mask(inputs)
        return kwargs if mask is None else {**kwargs, "mask": mask}

    def check_inputs(self, inputs: Any) -> None:
        """Raises ValueError for inputs that the layer does not take."""
        raise NotImplementedError


class VectorLayer(CheckedInputs):
    """Mixin of layers that take vectors: floating numbers of a known width, which must fit the weights, if any.

    A subclass sets `rank = 3` if it only takes `[B, L, M]`, and `any_width = True` if no weight depends on the width.
    """

    rank: int | None = None
    any_width = False

    def check_inputs(self, inputs: Any) -> None:
        width = None if self.any_width else _built_width(self)
        arguments.vectors("inputs", inputs, self.rank, width)


def _built_width(layer: Any) -> int | None:
    """The width of the inputs that a layer was built for, None before."""
    config = layer.get_build_config() or {}
    # Of layers with several inputs, Keras saves the shapes by name.
    shape: Any = config.get("input_shape") or config.get("shapes_dict", {}).get("inputs_shape")
    while shape and isinstance(shape[0], list | tuple):
        shape = shape[0]
    return shape[-1] if shape else None


def _implicit_mask(inputs: Any) -> Any:
    """The mask of the first eager tensor with one; None for symbolic tensors, whose masks Keras passes on."""
    for x in inputs if isinstance(inputs, list | tuple) else [inputs]:
        mask = getattr(x, "_keras_mask", None)
        if mask is not None and not isinstance(x, keras.KerasTensor):
            return mask
    return None


@functools.cache
def _parameters(call: Callable) -> list[str]:
    """The names of the arguments of a method, without `self`."""
    return list(inspect.signature(call).parameters)[1:]
