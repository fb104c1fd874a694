"""Makes the position embedding of a model from the arguments of its backbone."""

import math
from collections.abc import Sequence
from typing import Any

import keras

from reformer_tf.layers import arguments
from reformer_tf.layers.positions import (
    AxialPositionEmbedding,
    LearnedPositionEmbedding,
    SinusoidalPositionEmbedding,
)

_POSITIONS = ("axial", "learned", "sinusoidal", "none")


def make(
    positions: str,
    max_sequence_length: int,
    hidden_dim: int,
    axial_shape: Sequence[int] | None,
    axial_dims: Sequence[int] | None,
    policy: Any,
) -> keras.layers.Layer | None:
    """Makes the layer, or None for no positions. The arguments are those of `ReformerBackbone`, and a dtype policy.

    Raises:
        ValueError: for unknown positions, or axes that do not reach `max_sequence_length`.
    """
    options = {"dtype": policy, "name": "position_embedding"}
    if arguments.choice("positions", positions, _POSITIONS) == "none":
        return None
    if positions == "learned":
        return LearnedPositionEmbedding(max_sequence_length, **options)
    if positions == "sinusoidal":
        return SinusoidalPositionEmbedding(**options)
    axial_shape, axial_dims = axes(max_sequence_length, hidden_dim, axial_shape, axial_dims)
    if math.prod(axial_shape) < max_sequence_length:
        raise ValueError(
            "The product of axial_shape must reach max_sequence_length."
            f" Received: axial_shape={axial_shape}, max_sequence_length={max_sequence_length}"
        )
    return AxialPositionEmbedding(axial_shape, axial_dims, **options)


def axes(
    max_sequence_length: int, hidden_dim: int, axial_shape: Sequence[int] | None, axial_dims: Sequence[int] | None
) -> tuple[Sequence[int], Sequence[int]]:
    """Returns the sizes and the widths of the axes of axial positions, with what their defaults stand for.

    Example:
        >>> axes(1000, 64, None, None)
        ((32, 32), (32, 32))
    """
    if axial_shape is None:
        last = 2 ** math.ceil(math.log2(max_sequence_length) / 2)
        axial_shape = (-(-max_sequence_length // last), last)
    if axial_dims is None:
        axis_dim = hidden_dim // len(axial_shape)
        axial_dims = (*(axis_dim for _ in axial_shape[1:]), hidden_dim - axis_dim * (len(axial_shape) - 1))
    return axial_shape, axial_dims
