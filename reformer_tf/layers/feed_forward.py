"""The position-wise feed-forward layer, a few rows at a time."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from reformer_tf.layers import activations, arguments, frozen_weights
from reformer_tf.layers.checked_inputs import VectorLayer
from reformer_tf.layers.fixed_arguments import FixedArguments
from reformer_tf.layers.low_rank import Kernel, LowRankAdapted
from reformer_tf.ops import bias_activation, shapes, sums
from reformer_tf.ops.execution import compiled_functions, row_chunks


@keras.saving.register_keras_serializable("reformer_tf")
class ChunkedFeedForward(VectorLayer, LowRankAdapted, FixedArguments):
    """Two projections with an activation between, computed in chunks: the inner tensor is never alive as a whole.

    Forward and backward both go through the chunks, and the backward pass recomputes the inner tensor of each (paper,
    section 3, 'Chunking'). With `gated=True` the inner tensor is `activation(x W + b) * (x U + c)` (Shazeer, 2020,
    'GLU variants improve Transformer').

    Args:
        intermediate_dim: width of the inner tensor.
        activation: a Keras activation, or one of `reformer_tf.layers.activations` by name.
        gated: whether a second projection gates the inner tensor.
        chunk_length: tokens in a chunk (over all rows of the batch together); by default as many as keep the inner
            tensor of a chunk within `Budgets.chunk_bytes`. A batch that fits in one chunk is not recomputed.
        use_bias: whether projections have biases.
        kernel_initializer: of the projections.
        **kwargs: see `keras.layers.Layer`, and `LowRankAdapted` for `lora_rank`, `lora_alpha` and `lora_kernels`.

    Call arguments:
        inputs: `[B, L, M]`, or any other number of axes before the last.
        training: whether this is a training call, in which parts may be compiled.

    Raises:
        ValueError: for sizes that are not positive.

    Example:
        >>> ChunkedFeedForward(intermediate_dim=64, chunk_length=100)(np.ones((2, 1000, 16))).shape
        TensorShape([2, 1000, 16])
    """

    fixed = frozenset({"intermediate_dim", "gated", "use_bias"})

    def __init__(
        self,
        intermediate_dim: int,
        activation: Any = "gelu",
        gated: bool = False,
        chunk_length: int | None = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.intermediate_dim = arguments.positive_integer("intermediate_dim", intermediate_dim)
        self.activation = activations.get(activation)
        self.gated = arguments.boolean("gated", gated)
        self.chunk_length = arguments.optional(arguments.positive_integer, "chunk_length", chunk_length)
        self.use_bias = arguments.boolean("use_bias", use_bias)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        width, inner = input_shape[-1], self.intermediate_dim
        shapes_by_name = {"inner": (width, inner), "gate": (width, inner), "outer": (inner, width)}
        if not self.gated:
            del shapes_by_name["gate"]
        weights = []
        for name, shape in shapes_by_name.items():
            initializer = arguments.fresh(self.kernel_initializer)
            # Keras must not cast weights: their gradients would be cast before they are summed over chunks.
            weights.append(self.add_weight(shape, initializer, autocast=False, name=f"{name}_kernel"))
            if self.use_bias:
                weights.append(self.add_weight(shape[1:], "zeros", autocast=False, name=f"{name}_bias"))
        # A tuple, because TensorFlow's checkpoints leave out variables and layers in lists.
        self._weights = tuple(weights)
        self.build_lora()

    def kernels(self) -> Mapping[str, Kernel]:
        kernels = self._weights[:: 2 if self.use_bias else 1]
        return {kernel.name: Kernel(kernel, input_axes=1) for kernel in kernels}

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        inputs = tf.convert_to_tensor(inputs)
        width = inputs.shape[-1]
        adapters = self.adapters()
        chosen = [adapters[name] for name in self.kernels() if name in adapters]
        variables = [*self._weights, *(weight for adapter in chosen for weight in adapter[:2])]
        weights, joined = frozen_weights.separated(variables, [frozen_weights.value(v) for v in variables])

        def rows(x: tf.Tensor, *weights: tf.Tensor) -> tf.Tensor:
            return self._rows(x, joined(weights))

        spec = tf.TensorSpec([None, width], inputs.dtype)
        # Functions inside may be compiled in training; an exported model must run where XLA is not linked in.
        with compiled_functions.compiling_functions(bool(training)):
            result = row_chunks.map_rows(rows, [tf.reshape(inputs, [-1, width])], weights, self.rows, spec)
        return tf.reshape(result, shapes.sizes(inputs))

    @property
    def rows(self) -> int:
        """The most tokens of a chunk."""
        return self.chunk_length or row_chunks.rows_in_budget(self.intermediate_dim * (2 if self.gated else 1))

    def _rows(self, x: tf.Tensor, weights: Sequence[tf.Tensor]) -> tf.Tensor:
        """Computes the layer on rows `[T, M]`; the weights are those of the projections, then those of adapters."""
        remaining, adapters = list(weights[: len(self._weights)]), list(weights[len(self._weights) :])
        names = iter(self.kernels())

        def project(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None]:
            result = sums.matmul(x, remaining.pop(0))
            if next(names) in self.adapters():
                result = self.adapted(result, x, adapters.pop(0), adapters.pop(0))
            return result, remaining.pop(0) if self.use_bias else None

        hidden = bias_activation.biased(self.activation, *project(x))
        if self.gated:
            hidden *= _with_bias(*project(x))
        return _with_bias(*project(hidden))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "intermediate_dim": self.intermediate_dim,
            "activation": keras.activations.serialize(self.activation),
            "gated": self.gated,
            "chunk_length": self.chunk_length,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


def _with_bias(x: tf.Tensor, bias: tf.Tensor | None) -> tf.Tensor:
    return x if bias is None else sums.bias_add(x, bias)
