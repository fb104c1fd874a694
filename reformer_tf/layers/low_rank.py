"""Low-rank adapters of kernels (LoRA), with the methods and names of Keras' own layers.

Shape letters: T rows, M inputs, P outputs of a kernel as a matrix, r the rank.
"""

import contextlib
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from reformer_tf.layers import adapter_files, arguments
from reformer_tf.layers.adapter_files import Adapter
from reformer_tf.layers.not_quantized import NotQuantized
from reformer_tf.ops import shapes, sums


class Kernel(NamedTuple):
    """A weight that may get an adapter.

    Attributes:
        variable: the weight.
        input_axes: how many of its first axes are inputs; the others are outputs.
    """

    variable: keras.Variable
    input_axes: int


class LowRankAdapted(NotQuantized):
    """Base of layers whose kernels can be frozen and get low-rank adapters. A subclass implements `kernels`.

    With an adapter a kernel W counts as `W + lora_alpha / rank * a b`. Only a and b are trained: the product is never
    formed, and no gradient of W is computed.

    Args:
        lora_rank: of the adapters that the layer gets when it is built; none if None.
        lora_alpha: see `enable_lora`.
        lora_kernels: the names of the kernels that get them; all if None.
        **kwargs: see `keras.layers.Layer`.

    Raises:
        ValueError: for a rank or alpha that is not positive, or names that are no list, or given without a rank. The
            names themselves are checked when the layer is built.

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
        passed = {"lora_alpha": lora_alpha, "lora_kernels": lora_kernels}
        if lora_rank is None and any(value is not None for value in passed.values()):
            raise ValueError(f"lora_alpha and lora_kernels must be left out without lora_rank. Received: {passed}")
        if isinstance(lora_kernels, str):
            raise ValueError(f"lora_kernels must be a list of names. Received: lora_kernels={lora_kernels!r}")
        self._lora_enabled = False
        self._lora_rank = arguments.optional(arguments.positive_integer, "lora_rank", lora_rank)
        self._lora_alpha = arguments.optional(arguments.positive_number, "lora_alpha", lora_alpha)
        self._lora_kernels: list[str] | None = None if lora_kernels is None else list(lora_kernels)

    # Setting one of these would be half a change, so they are properties.
    @property
    def lora_enabled(self) -> bool:
        """Whether the layer has adapters."""
        return self._lora_enabled

    @property
    def lora_rank(self) -> int | None:
        """The rank of the adapters that the layer has, or is to get when it is built."""
        return self._lora_rank

    @property
    def lora_alpha(self) -> float | None:
        """Adapters count times `lora_alpha / lora_rank`."""
        return self._lora_alpha

    @property
    def lora_kernels(self) -> list[str] | None:
        """The names of the kernels with adapters; None if all are to get one."""
        return None if self._lora_kernels is None else list(self._lora_kernels)

    def kernels(self) -> Mapping[str, Kernel]:
        """The kernels of the built layer that may get adapters, by name."""
        raise NotImplementedError

    def adapters(self) -> dict[str, Adapter]:
        """The adapters of the layer, by the name of the kernel."""
        if not self.lora_enabled or self.lora_kernels is None:
            return {}
        found = {}
        for name in self.lora_kernels:
            a, b = (getattr(self, key) for key in adapter_files.keys(name))
            found[name] = Adapter(a, b, self._lora_alpha)
        return found

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
                "enable_lora must not be called on a layer with adapters; merge_lora() merges them first."
                f" Received: {self.name}, with adapters of rank {self.lora_rank}"
            )
        rank = arguments.positive_integer("rank", rank)
        lora_alpha = arguments.optional(arguments.positive_number, "lora_alpha", lora_alpha)
        was_locked = self._tracker.locked
        self._tracker.unlock()
        try:
            self._add_adapters(rank, lora_alpha, a_initializer, b_initializer, self._chosen("kernels", kernels))
        finally:
            if was_locked:
                self._tracker.lock()

    def build_lora(self) -> None:
        """Makes the adapters that the constructor was asked for; called at the end of `build`."""
        if self.lora_rank is not None:
            chosen = self._chosen("lora_kernels", self.lora_kernels)
            self._add_adapters(self.lora_rank, self.lora_alpha, "he_uniform", "zeros", chosen)

    def merge_lora(self) -> None:
        """Adds the adapters to their kernels for good; the kernels are weights like others again.

        Raises:
            ValueError: if the layer has no adapters.
        """
        if not self.lora_enabled:
            raise ValueError(f"merge_lora must come after enable_lora. Received: {self.name}, without adapters")
        kernels, adapters = self.kernels(), self.adapters()
        self._lora_enabled, self._lora_rank, self._lora_alpha, self._lora_kernels = False, None, None, None
        for name, adapter in adapters.items():
            variable = kernels[name].variable
            variable.assign(adapter_files.merged(variable, adapter))
            # Functions that were traced before go on adding the adapter.
            adapter.b.assign(tf.zeros(adapter.b.shape, adapter.b.dtype))
            variable.trainable = self.trainable
            for key in adapter_files.keys(name):
                delattr(self, key)

    def _chosen(self, argument: str, names: Sequence[str] | None) -> list[str]:
        """The names that an argument chose, all if None."""
        kernels = list(self.kernels())
        chosen = list(kernels if names is None else names)
        if isinstance(names, str) or not chosen or not set(chosen) <= set(kernels) or len(set(chosen)) < len(chosen):
            raise ValueError(
                f"{argument} must be different names among {kernels}. Received: {argument}={names!r} for {self.name}"
            )
        return chosen

    def _add_adapters(
        self, rank: int, lora_alpha: float | None, a_initializer: Any, b_initializer: Any, chosen: list[str]
    ) -> None:
        kernels = self.kernels()
        for name in chosen:
            variable, axes = kernels[name]
            inputs, outputs = variable.shape[:axes], variable.shape[axes:]
            key_a, key_b = adapter_files.keys(name)
            setattr(self, key_a, self._adapter_weight(key_a, variable, (*inputs, rank), axes, a_initializer))
            setattr(self, key_b, self._adapter_weight(key_b, variable, (rank, *outputs), 1, b_initializer))
        self._lora_enabled, self._lora_rank, self._lora_kernels = True, rank, chosen
        self._lora_alpha = float(rank) if lora_alpha is None else lora_alpha
        self._freeze_adapted()

    def _adapter_weight(
        self, name: str, kernel: keras.Variable, shape: tuple[int, ...], input_axes: int, initializer: Any
    ) -> keras.Variable:
        dtype = shapes.statistics_dtype(tf.as_dtype(kernel.dtype)).name
        drawn = _drawn_as_matrix(initializer, input_axes)
        with _strategy_scope(kernel):
            # Keras must not cast weights: their gradients would be cast before they are summed.
            weight = self.add_weight(shape, drawn, dtype=dtype, autocast=False, name=name)
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
        for name in self.adapters():
            self.kernels()[name].variable.trainable = False

    def train_adapters_only(self) -> None:
        """Freezes all weights but those of adapters."""
        for variable in self.weights_without_adapters():
            variable.trainable = False

    def weights_without_adapters(self) -> list[keras.Variable]:
        """The layer's own weights, without those of adapters."""
        adapters = {id(weight) for adapter in self.adapters().values() for weight in adapter[:2]}
        return [v for v in (*self._trainable_variables, *self._non_trainable_variables) if id(v) not in adapters]

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
        """Saves kernels and adapters each by itself, see `adapter_files`."""
        if self.lora_enabled:
            adapter_files.save(store, self.weights_without_adapters(), self.adapters())
        else:
            super().save_own_variables(store)

    def load_own_variables(self, store: Any) -> None:
        """Loads a file with or without adapters, see `adapter_files`."""
        values, saved = adapter_files.read(store)
        if self.lora_enabled or (saved and self.built):
            kernels = {name: kernel.variable for name, kernel in self.kernels().items()}
            adapter_files.load(values, saved, self.name, self.weights_without_adapters(), kernels, self.adapters())
        else:
            super().load_own_variables(values)

    def lora_config(self) -> dict[str, Any]:
        """The entries of the config that say which adapters the layer has, or is to get; none without."""
        if self.lora_rank is None:
            return {}
        return {"lora_rank": self.lora_rank, "lora_alpha": self.lora_alpha, "lora_kernels": self.lora_kernels}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.lora_config()}


def _strategy_scope(kernel: keras.Variable) -> contextlib.AbstractContextManager[Any]:
    """The scope of the strategy that a kernel was made in, unless the caller is in one."""
    strategy = getattr(kernel.value, "distribute_strategy", None)
    return contextlib.nullcontext() if strategy is None or tf.distribute.has_strategy() else strategy.scope()


def _drawn_as_matrix(initializer: Any, input_axes: int) -> Any:
    """Keras would take the axes of a weight with more than two for those of a convolution, and scale it wrongly."""
    initializer = arguments.fresh(keras.initializers.get(initializer))

    def draw(shape: tuple[int, ...], dtype: Any) -> Any:
        matrix = (math.prod(shape[:input_axes]), math.prod(shape[input_axes:]))
        return keras.ops.reshape(initializer(matrix, dtype=dtype), shape)

    return draw
