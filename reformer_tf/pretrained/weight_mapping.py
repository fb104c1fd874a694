"""Assigns named tensors of another implementation to the weights of a model: all of them, or none."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from reformer_tf.layers.residual_branch import ResidualBranch
from reformer_tf.models.backbone import ReformerBackbone

_SHOWN = 8


@dataclasses.dataclass(frozen=True)
class WeightTarget:
    """The weight that a tensor goes into, and how the tensor is laid out.

    Attributes:
        variable: the weight.
        shape: the shape that the tensor must have.
        axes: the tensor's axes in the order in which the weight has them.
    """

    variable: keras.Variable
    shape: tuple[int, ...]
    axes: tuple[int, ...]

    def value(self, tensor: np.ndarray) -> np.ndarray:
        """The tensor in the weight's layout."""
        return tensor.transpose(self.axes).reshape(self.variable.shape).astype(np.float32)


def as_is(variable: keras.Variable, shape: Sequence[int] | None = None) -> WeightTarget:
    """A target whose tensor has the weight's numbers in the same sequence, in the weight's shape or another."""
    shape = tuple(variable.shape if shape is None else shape)
    return WeightTarget(variable, shape, tuple(range(len(shape))))


def out_by_in(kernel: keras.Variable, inputs: int) -> WeightTarget:
    """A target whose tensor is `[outputs, inputs]`; the kernel has its input axes (heads may be one) first."""
    return WeightTarget(kernel, (math.prod(kernel.shape) // inputs, inputs), (1, 0))


def heads_first(kernel: keras.Variable) -> WeightTarget:
    """A target whose tensor is `[H, M, D]`, and whose kernel is `[M, H, D]`."""
    width, heads, size = kernel.shape
    return WeightTarget(kernel, (heads, width, size), (1, 0, 2))


def named(layer: keras.layers.Layer) -> dict[str, keras.Variable]:
    """The trainable weights of a layer by name."""
    return {variable.name: variable for variable in layer.trainable_variables}


def blocks(backbone: ReformerBackbone) -> list[tuple[ResidualBranch, ResidualBranch]]:
    """The attention and the feed-forward branch of each layer."""
    branches = backbone.get_layer("stack").branches
    return list(zip(branches[::2], branches[1::2], strict=True))


def assign(
    model: keras.Model, targets: Mapping[str, WeightTarget], tensors: Mapping[str, np.ndarray], source: str
) -> None:
    """Assigns every tensor to its weight.

    Args:
        model: the model; all of its trainable weights must get a tensor.
        targets: by name of the tensor.
        tensors: by the same names.
        source: the origin of the tensors, for the message.

    Raises:
        ValueError: if a tensor is missing, has no weight or another shape, or if a weight gets no tensor.
    """
    problems = [
        f"{name} {list(target.shape)} is missing, so that {target.variable.path} gets no weight"
        for name, target in targets.items()
        if name not in tensors
    ]
    problems += [
        f"{name} {list(tensor.shape)} has no place in the model"
        for name, tensor in tensors.items()
        if name not in targets
    ]
    problems += [
        f"{name} must have the shape {list(target.shape)} and has {list(tensors[name].shape)}"
        for name, target in targets.items()
        if name in tensors and tuple(tensors[name].shape) != target.shape
    ]
    assigned = {id(target.variable) for target in targets.values()}
    problems += [f"nothing is for {v.path}" for v in model.trainable_variables if id(v) not in assigned]
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise ValueError(
            "The tensors must be those of the model that the config describes, one for each weight."
            f" Received: {source}: {'; '.join(problems[:_SHOWN])}{more}"
        )
    for name, target in targets.items():
        target.variable.assign(target.value(tensors[name]))
