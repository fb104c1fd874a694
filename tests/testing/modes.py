"""Runs a function of tensors eagerly, in a graph or compiled by XLA, and compares the results."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf


def run(mode: str, call: Callable, data: Sequence[tf.Tensor], length: int) -> Sequence[tf.Tensor]:
    """Calls a function.

    Args:
        mode: `"eager"`, `"graph"`, `"xla"`; or `"dynamic"` and `"dynamic xla"`, of a graph that knows no length.
        call: what is called.
        data: its arguments.
        length: the size of axes that a dynamic graph does not know.
    """
    if mode == "eager":
        return call(*data)
    specs = None
    if mode.startswith("dynamic"):
        specs = [tf.TensorSpec([None if size == length else size for size in x.shape], x.dtype) for x in data]
    return tf.function(call, input_signature=specs, jit_compile=mode.endswith("xla"))(*data)


def assert_close(actual: Sequence[tf.Tensor], expected: Sequence[tf.Tensor], bound: float = 1e-5) -> None:
    """Checks that results are finite and differ by at most `bound`, relative to the largest if above one."""
    for a, b in zip(actual, expected, strict=True):
        assert np.isfinite(a).all()
        np.testing.assert_allclose(a, b, atol=bound * max(1.0, np.abs(b).max()))
