"""A stack of reversible layers in numpy, forward only (paper, section 3, reversible Transformer)."""

from collections.abc import Callable, Sequence

import numpy as np

Function = Callable[[np.ndarray], np.ndarray]


def forward(
    x1: np.ndarray, x2: np.ndarray, layers: Sequence[tuple[Function, Function]]
) -> tuple[np.ndarray, np.ndarray]:
    """Y1 = X1 + F(X2), Y2 = X2 + G(Y1), layer by layer, F being attention and G feed-forward."""
    for f, g in layers:
        x1 = x1 + f(x2)
        x2 = x2 + g(x1)
    return x1, x2


def backward_inputs(
    y1: np.ndarray, y2: np.ndarray, layers: Sequence[tuple[Function, Function]]
) -> tuple[np.ndarray, np.ndarray]:
    """X2 = Y2 - G(Y1), X1 = Y1 - F(X2): the inputs rebuilt from the outputs, from the last layer to the first."""
    for f, g in reversed(layers):
        y2 = y2 - g(y1)
        y1 = y1 - f(y2)
    return y1, y2
