"""Low-rank adapters in files of weights: kernels and adapters each by themselves, so that training goes on exactly.

Keras' own layers save the kernel with its adapter merged into it. Here that happens when a file is read: adapters of a
file that the layer does not have, of the same rank and alpha, are merged into its kernels. So a layer without adapters
computes what the one in the file did; a layer with adapters takes any file, and its own begin at zero again.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

_PREFIX = "lora_"
_ALPHA = "lora_alpha"


class Adapter(NamedTuple):
    """The adapter of a kernel, `alpha / rank * a b`.

    Attributes:
        a: weight or array `[*inputs, rank]`.
        b: weight or array `[rank, *outputs]`.
        alpha: a number.
    """

    a: Any
    b: Any
    alpha: float


def keys(name: str) -> tuple[str, str]:
    """The names of the weights a and b of a kernel's adapter, in files and as attributes."""
    return f"{_PREFIX}{name}_a", f"{_PREFIX}{name}_b"


def merged(kernel: Any, adapter: Adapter) -> tf.Tensor:
    """The kernel with its adapter added, in the dtype of the kernel."""
    kernel, a, b = (tf.convert_to_tensor(x) for x in (kernel, adapter.a, adapter.b))
    update = tf.tensordot(a, b, 1) * tf.constant(adapter.alpha / a.shape[-1], a.dtype)
    return tf.cast(tf.cast(kernel, update.dtype) + update, kernel.dtype)


def save(store: Any, weights: Sequence[keras.Variable], adapters: Mapping[str, Adapter]) -> None:
    """Writes a layer's weights as Keras does, by their index, and its adapters by name.

    Args:
        store: the layer's entry in the file.
        weights: all of its weights without those of adapters.
        adapters: by the name of the kernel.
    """
    for index, variable in enumerate(weights):
        store[str(index)] = variable
    if adapters:  # All have the same.
        store[_ALPHA] = np.array(next(iter(adapters.values())).alpha, "float32")
    for name, adapter in adapters.items():
        for key, variable in zip(keys(name), adapter[:2], strict=True):
            store[key] = variable


def read(store: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Reads a layer's entry in a file: the values of its weights by index, and those of adapters by name."""
    values = {name: store[name] for name in store.keys()}  # noqa: SIM118 - a store is no dict
    adapters = {name: np.asarray(values.pop(name)) for name in list(values) if name.startswith(_PREFIX)}
    return values, adapters


def load(
    values: Mapping[str, Any],
    saved: Mapping[str, np.ndarray],
    layer: str,
    weights: Sequence[keras.Variable],
    kernels: Mapping[str, keras.Variable],
    adapters: Mapping[str, Adapter],
) -> None:
    """Assigns what `read` returned to the weights of a layer.

    Args:
        values: of its weights.
        saved: of adapters.
        layer: the layer's name.
        weights: all of its weights without those of adapters.
        kernels: its kernels by name.
        adapters: its adapters by the name of the kernel.

    Raises:
        ValueError: for another number of weights, or adapters of kernels that the layer does not have.
    """
    if len(values) != len(weights):
        raise ValueError(f"The file must hold {len(weights)} weights of layer {layer}. Received: {len(values)} weights")
    found = {name: [saved.get(key) for key in keys(name)] for name in kernels}
    found = {name: pair for name, pair in found.items() if not any(array is None for array in pair)}
    unknown = set(saved) - {_ALPHA, *(key for name in found for key in keys(name))}
    if unknown:
        rule = f"The file must hold adapters of kernels of layer {layer}, which are {list(kernels)}."
        raise ValueError(f"{rule} Received: {sorted(unknown)}")
    for index, variable in enumerate(weights):
        variable.assign(values[str(index)])
    for name, variable in kernels.items():
        mine, pair = adapters.get(name), found.get(name)
        theirs = Adapter(pair[0], pair[1], float(saved[_ALPHA])) if pair else None
        if mine and theirs and _is_like(mine, theirs):
            mine.a.assign(theirs.a)
            mine.b.assign(theirs.b)
            continue
        if theirs:
            variable.assign(merged(variable, theirs))
        if mine:
            mine.b.assign(tf.zeros(mine.b.shape, mine.b.dtype))


def _is_like(mine: Adapter, theirs: Adapter) -> bool:
    return np.float32(mine.alpha) == np.float32(theirs.alpha) and tuple(mine.a.shape) == tuple(theirs.a.shape)
