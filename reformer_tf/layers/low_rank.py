"""Low-rank adapters of kernels (LoRA), with the methods and names of Keras' own layers.

Shape letters: T rows, M inputs, P outputs of a kernel as a matrix, r the rank.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from reformer_tf.layers import arguments
from reformer_tf.ops import shapes, sums

_PREFIX = "lora_"
_ALPHA = "lora_alpha"


class Kernel(NamedTuple):
    """A weight that may get an adapter.

    Attributes:
        variable: the weight.
        input_axes: how many of its first axes are inputs; the others are outputs.
    """

    variable: keras.Variable
    input_axes: int

    @property
    def inputs(self) -> tuple[int, ...]:
        return tuple(self.variable.shape[: self.input_axes])

    @property
    def outputs(self) -> tuple[int, ...]:
        return tuple(self.variable.shape[self.input_axes :])


class LowRankAdapted(keras.layers.Layer):
    """Base of layers whose kernels can be frozen and get low-rank adapters.

    With an adapter a kernel W counts as `W + lora_alpha / rank * a b`. Only a and b are trained: the product is never
    formed, and no gradient of W is computed.

    Args:
        lora_rank: of the adapters that the layer gets when it is built; none if None.
        lora_alpha: see `enable_lora`.
        lora_kernels: the names of the kernels that get them; all if None.
        **kwargs: see `keras.layers.Layer`.

    References:
        Hu et al., 2021, LoRA: Low-Rank Adaptation of Large Language Models, section 4.
    """

    def __init__(
        self,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        lora_kernels: Sequence[str] | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.lora_enabled = False
        self.lora_rank = arguments.optional(arguments.positive_integer, "lora_rank", lora_rank)
        self.lora_alpha = arguments.optional(arguments.positive_number, _ALPHA, lora_alpha)
        self.lora_kernels = None if lora_kernels is None else list(lora_kernels)
        passed = {"lora_alpha": lora_alpha, "lora_kernels": lora_kernels}
        if lora_rank is None and any(value is not None for value in passed.values()):
            raise ValueError(f"lora_alpha and lora_kernels must be left out without lora_rank. Received: {passed}")

    def kernels(self) -> Mapping[str, Kernel]:
        """The kernels of the built layer that may get adapters, by name."""
        raise NotImplementedError

    def enable_lora(
        self,
        rank: int,
        lora_alpha: float | None = None,
        a_initializer: Any = "he_uniform",
        b_initializer: Any = "zeros",
        kernels: Sequence[str] | None = None,
    ) -> None:
        """Freezes kernels and gives each an adapter: `a`, `[*inputs, rank]`, and `b`, `[rank, *outputs]`.

        As in Keras' layers, biases stay as they are, and the weights of adapters are float32 (or float64) whatever the
        policy. A compiled model must be compiled again.

        Args:
            rank: of the adapters.
            lora_alpha: adapters count times `lora_alpha / rank`; `rank` if None.
            a_initializer: of `a`, drawn as a matrix.
            b_initializer: of `b`; with zeros the layer computes at first what it did without adapters.
            kernels: the names of the kernels, which are those of the weights, for instance `["query_key", "value"]`;
                all if None.

        Raises:
            ValueError: if the layer is not built or has adapters, or for a rank or alpha that is not positive, or
                names that no kernel has.
        """
        if not self.built:
            raise ValueError(f"enable_lora must come after the layer is built. Received: {self.name}, not built")
        if self.lora_enabled:
            raise ValueError(
                f"enable_lora must be called once; merge_lora() makes room for other adapters. Received: {self.name},"
                f" with adapters of rank {self.lora_rank}"
            )
        self._add_adapters(
            arguments.positive_integer("rank", rank),
            arguments.optional(arguments.positive_number, _ALPHA, lora_alpha),
            a_initializer,
            b_initializer,
            kernels,
        )

    def merge_lora(self) -> None:
        """Adds the adapters to their kernels for good; the kernels are weights like others again.

        Raises:
            ValueError: if the layer has no adapters.
        """
        if not self.lora_enabled:
            raise ValueError(f"merge_lora must come after enable_lora. Received: {self.name}, without adapters")
        kernels = self.kernels()
        for name in self.lora_kernels:
            kernel = kernels[name].variable
            kernel.assign(_merged(kernel, *self.adapter(name), self.lora_alpha))
            kernel.trainable = self.trainable
        for key in self._adapter_keys():
            delattr(self, key)
        self.lora_enabled, self.lora_rank, self.lora_alpha, self.lora_kernels = False, None, None, None

    def build_lora(self) -> None:
        """Makes the adapters that the constructor was asked for; called at the end of `build`."""
        if self.lora_rank is not None:
            self._add_adapters(self.lora_rank, self.lora_alpha, "he_uniform", "zeros", self.lora_kernels)

    def _add_adapters(
        self, rank: int, lora_alpha: float | None, a_initializer: Any, b_initializer: Any, names: Sequence[str] | None
    ) -> None:
        kernels = self.kernels()
        chosen = list(kernels if names is None else names)
        if not chosen or not set(chosen) <= set(kernels) or len(set(chosen)) < len(chosen):
            raise ValueError(
                f"kernels must be different names among {list(kernels)}. Received: kernels={names!r} for {self.name}"
            )
        was_locked = self._tracker.locked
        self._tracker.unlock()
        for name in chosen:
            kernel = kernels[name]
            for key, shape, input_axes, initializer in zip(
                _keys(name),
                ((*kernel.inputs, rank), (rank, *kernel.outputs)),
                (kernel.input_axes, 1),
                (a_initializer, b_initializer),
                strict=True,
            ):
                setattr(self, key, self._adapter_weight(key, shape, kernel, _drawn_as_matrix(initializer, input_axes)))
        if was_locked:
            self._tracker.lock()
        self.lora_enabled, self.lora_rank, self.lora_kernels = True, rank, chosen
        self.lora_alpha = rank if lora_alpha is None else lora_alpha
        self._freeze_adapted()

    def _adapter_weight(self, name: str, shape: tuple[int, ...], kernel: Kernel, initializer: Any) -> keras.Variable:
        dtype = shapes.statistics_dtype(tf.as_dtype(kernel.variable.dtype)).name
        # Keras must not cast weights: their gradients would be cast before they are summed.
        weight = self.add_weight(shape, initializer, dtype=dtype, autocast=False, name=name)
        weight.trainable = self.trainable
        return weight

    @property
    def trainable(self) -> bool:
        """Whether the layer is trained; a kernel with an adapter never is."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        keras.layers.Layer.trainable.fset(self, value)
        self._freeze_adapted()

    def _freeze_adapted(self) -> None:
        if self.lora_enabled:
            kernels = self.kernels()
            for name in self.lora_kernels:
                kernels[name].variable.trainable = False

    def adapter(self, name: str) -> tuple[keras.Variable, keras.Variable] | None:
        """The weights a and b of a kernel's adapter, None if it has none."""
        if not self.lora_enabled or name not in self.lora_kernels:
            return None
        a, b = (getattr(self, key) for key in _keys(name))
        return a, b

    def adapted(self, result: tf.Tensor, x: tf.Tensor, a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
        """Adds an adapter to the product of rows and its kernel.

        Args:
            result: `[T, P]`, the product.
            x: `[T, M]`, the rows.
            a: `[*inputs, r]`, whose inputs are M numbers.
            b: `[r, *outputs]`, whose outputs are P numbers.
        """
        rank = b.shape[0]
        return result + self.expanded(sums.matmul(x, tf.reshape(a, [-1, rank])), tf.reshape(b, [rank, -1]))

    def expanded(self, inner: tf.Tensor, b: tf.Tensor, transpose_b: bool = False) -> tf.Tensor:
        """The update by an adapter, `[T, P]`, from rows `[T, r]` that went through its first half."""
        scale = self.lora_alpha / inner.shape[-1]
        inner = inner if scale == 1 else inner * tf.constant(scale, inner.dtype)
        return sums.matmul(inner, b, transpose_b)

    def save_own_variables(self, store: Any) -> None:
        """Saves kernels and adapters each by itself, so that training goes on from the file as without it."""
        if not self.lora_enabled:
            super().save_own_variables(store)
            return
        for index, variable in enumerate(self._variables_without_adapters()):
            store[str(index)] = variable
        store[_ALPHA] = np.array(self.lora_alpha, "float32")
        for key in self._adapter_keys():
            store[key] = getattr(self, key)

    def load_own_variables(self, store: Any) -> None:
        """Loads a file with or without adapters.

        Adapters of the file that are not also the layer's, of equal kernels, rank and alpha, are added to their
        kernels; so a layer without adapters computes what the one in the file did.
        """
        values = {name: store[name] for name in store.keys()}  # noqa: SIM118 - a store is no dict
        saved = {name: np.asarray(values.pop(name)) for name in list(values) if name.startswith(_PREFIX)}
        if not (saved or self.lora_enabled):
            super().load_own_variables(values)
            return
        own = self._variables_without_adapters()
        if len(values) != len(own):
            raise ValueError(
                f"The file must hold the {len(own)} weights of layer {self.name}. Received: {len(values)} weights"
            )
        for index, variable in enumerate(own):
            variable.assign(values[str(index)])
        alpha = saved.pop(_ALPHA, None)
        for name, kernel in self.kernels().items():
            mine, theirs = self.adapter(name), [saved.pop(key, None) for key in _keys(name)]
            known = theirs[0] is not None
            if known and mine and alpha == np.float32(self.lora_alpha) and theirs[0].shape == tuple(mine[0].shape):
                for variable, value in zip(mine, theirs, strict=True):
                    variable.assign(value)
                continue
            if known:
                kernel.variable.assign(_merged(kernel.variable, *theirs, float(alpha)))
            if mine:
                mine[1].assign(tf.zeros(mine[1].shape, mine[1].dtype))
        if saved:
            raise ValueError(f"The file must hold adapters of kernels of layer {self.name}. Received: {sorted(saved)}")

    def _variables_without_adapters(self) -> list[keras.Variable]:
        adapters = {id(getattr(self, key)) for key in self._adapter_keys()}
        return [v for v in (*self._trainable_variables, *self._non_trainable_variables) if id(v) not in adapters]

    def _adapter_keys(self) -> list[str]:
        return [key for name in self.lora_kernels for key in _keys(name)] if self.lora_enabled else []

    def lora_config(self) -> dict[str, Any]:
        """The entries of the config that say which adapters the layer has, or is to get; none without."""
        if self.lora_rank is None:
            return {}
        return {"lora_rank": self.lora_rank, _ALPHA: self.lora_alpha, "lora_kernels": self.lora_kernels}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.lora_config()}


def _keys(name: str) -> tuple[str, str]:
    """The names of the weights of a kernel's adapter, and of the attributes that hold them."""
    return f"{_PREFIX}{name}_a", f"{_PREFIX}{name}_b"


def _merged(kernel: Any, a: Any, b: Any, alpha: float) -> tf.Tensor:
    a, b = (tf.convert_to_tensor(x) for x in (a, b))
    update = tf.tensordot(a, b, 1) * tf.constant(alpha / a.shape[-1], a.dtype)
    kernel = tf.convert_to_tensor(kernel)
    return tf.cast(tf.cast(kernel, update.dtype) + update, kernel.dtype)


def _drawn_as_matrix(initializer: Any, input_axes: int) -> Any:
    """Keras would take the axes of a weight with more than two for those of a convolution, and scale it wrongly."""
    initializer = arguments.fresh(keras.initializers.get(initializer))

    def draw(shape: tuple[int, ...], dtype: Any) -> Any:
        matrix = (math.prod(shape[:input_axes]), math.prod(shape[input_axes:]))
        return keras.ops.reshape(initializer(matrix, dtype=dtype), shape)

    return draw
